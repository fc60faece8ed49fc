package prometheus

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/test/harness"
)

// python is the interpreter that Debian's packages are for.
const python = "/usr/bin/python3"

// needPythonClient fails in CI, and skips elsewhere, where Debian's client is not installed.
func needPythonClient(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import prometheus_client").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no python3-prometheus-client: %v\n%s", err, out)
		}
		t.Skip("apt-get install python3-prometheus-client")
	}
}

// pythonTeam is a running testdata/team.py.
type pythonTeam struct {
	addr string
	in   *os.File
	out  *bufio.Scanner
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startPython starts a team that serves its metrics at addr.
func startPython(t *testing.T, addr, otlp string, resource ...string) *pythonTeam {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, append([]string{filepath.Join("testdata", "team.py"), port, otlp}, resource...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	t.Cleanup(func() {
		inWrite.Close() // it ends with its input
		_ = cmd.Wait()
		outRead.Close()
	})
	p := &pythonTeam{addr: addr, in: inWrite, out: bufio.NewScanner(outRead)}
	p.answer(t, "ready")
	return p
}

func (p *pythonTeam) answer(t *testing.T, want string) {
	t.Helper()
	if !p.out.Scan() || p.out.Text() != want {
		t.Fatalf("the team answers %q, want %q", p.out.Text(), want)
	}
}

// tell lets the team work on n tasks.
func (p *pythonTeam) tell(t *testing.T, n int, what string) {
	t.Helper()
	for range n {
		if _, err := fmt.Fprintln(p.in, what); err != nil {
			t.Fatal(err)
		}
		p.answer(t, "done")
	}
}

// sums asks for instant queries and returns their values, "none" for no result.
func sums(s *harness.Server, queries ...string) (map[string]string, error) {
	got := map[string]string{}
	for _, q := range queries {
		var answer struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		if err := s.Get("/api/v1/query?query="+url.QueryEscape(q), &answer); err != nil {
			return nil, err
		}
		got[q] = "none"
		if len(answer.Data.Result) > 0 {
			got[q] = fmt.Sprint(answer.Data.Result[0].Value[1])
		}
	}
	return got, nil
}

// expect waits until queries have these values.
func expect(t *testing.T, s *harness.Server, want map[string]string) {
	t.Helper()
	queries := make([]string, 0, len(want))
	for q := range want {
		queries = append(queries, q)
	}
	harness.Eventually(t, 30*time.Second, "the metrics", func() error {
		got, err := sums(s, queries...)
		if err != nil {
			return err
		}
		if d := cmp.Diff(want, got); d != "" {
			return fmt.Errorf("(-want +got)\n%s", d)
		}
		return nil
	})
}

// completed are the sums that a dashboard shows, of all series there are.
func completed(n int) map[string]string {
	text := strconv.Itoa(n)
	return map[string]string{
		`sum(ai_team_tasks_total{status="pending"})`:   text,
		`sum(ai_team_tasks_total{status="completed"})`: text,
		`sum(ai_team_llm_calls_total)`:                 text,
		`sum(ai_team_llm_latency_seconds_count)`:       text,
		`sum(ai_team_task_duration_seconds_count)`:     text,
		`sum(ai_team_quality_score_count)`:             text,
		`sum(ai_team_quality_score_bucket{le="+Inf"})`: text,
		`sum(ai_team_tasks_in_progress) or vector(0)`:  "0",
	}
}

// scraping starts a server that scrapes addr.
func scraping(t *testing.T, addr, labels string) *harness.Server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	yml := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n  - job_name: team\n    static_configs: [{targets: ['%s'], labels: {%s}}]\n", addr, labels)
	if err := os.WriteFile(config, []byte(yml), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mindscope.yaml")
	if err := os.WriteFile(file, []byte("metrics: {own_interval: 1s, prometheus_file: '"+config+"'}\nrules: {enabled: false}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, harness.Options{Args: []string{"--config", file}})
}

// TestOneOwnerOfEachSeries: a program with the mission's metrics block on Debian's Python client is scraped. As long as it
// sends no spans its metrics are the ones there are; when it does, the server counts, and nothing counts twice.
func TestOneOwnerOfEachSeries(t *testing.T) {
	needPythonClient(t)
	addr := freeAddr(t)
	s := scraping(t, addr, "")
	p := startPython(t, addr, s.OTLPHTTP, "service.name=newsroom", "service.namespace=press")
	p.tell(t, 3, "count")
	want := completed(3)
	want[`sum(press_editions_total)`], want[`sum(up{job="team"})`] = "3", "1"
	want[`ai_team_llm_cost_dollars_total`] = "none" // money is the server's alone
	expect(t, s, want)
	if got, err := sums(s, `sum(ai_team_tasks_total{instance="`+addr+`"})`); err != nil || fmt.Sprint(got) != fmt.Sprintf("map[%s:6]", `sum(ai_team_tasks_total{instance="`+addr+`"})`) {
		t.Errorf("they are not the program's own: %v, %v", got, err)
	}
	if n := s.Metric(t, `mindscope_metrics_samples_refused_total{reason="owned_by_server"}`); n == 0 {
		t.Error("what was dropped is not counted")
	}

	p.tell(t, 4, "span")
	// The program's own counter tells that its newest page was read.
	expect(t, s, map[string]string{
		`sum(press_editions_total)`: "7", `sum(ai_team_tasks_total{status="completed"})`: "4", `sum(ai_team_tasks_total{status="pending"})`: "4",
		`sum(ai_team_llm_calls_total)`: "4", `sum(ai_team_quality_score_count)`: "4", `sum(ai_team_task_duration_seconds_count)`: "4", `sum(gen_ai_client_token_usage_count)`: "8",
		`count(ai_team_tasks_total{instance="` + addr + `"})`: "none",
	})
	// Over time each task was counted once: 3 by the program, 4 by the server.
	harness.Eventually(t, 20*time.Second, "the history", func() error {
		got, err := sums(s, `sum(max_over_time(ai_team_tasks_total{status="completed",job="team"}[5m]))`, `sum(max_over_time(ai_team_tasks_total{status="completed",job="mindscope"}[5m]))`)
		if err != nil {
			return err
		}
		for q, v := range got {
			if want := map[bool]string{true: "3", false: "4"}[strings.Contains(q, `job="team"`)]; v != want {
				return fmt.Errorf("%s is %s, want %s", q, v, want)
			}
		}
		return nil
	})

	// By remote write they come without any labels of a target; they are dropped all the same, and the writer is not told to send again.
	write(t, s.HTTP, contractSeries(t))
	expect(t, s, map[string]string{`sum(ai_team_tasks_total{status="completed"})`: "4"})
}

// TestSenderThatCountsItself: a program that says so is counted by itself, whether its spans come or not; money is the
// server's.
func TestSenderThatCountsItself(t *testing.T) {
	needPythonClient(t)
	addr := freeAddr(t)
	s := scraping(t, addr, "team: press, ai_team_metrics: sdk")
	p := startPython(t, addr, s.OTLPHTTP, "service.name=newsroom", "service.namespace=press", "ai_team.metrics=sdk")
	p.tell(t, 5, "span")
	finish(t, s, 1, false) // of another member of the team, which the server counts
	want := completed(5)
	for _, q := range []string{`sum(ai_team_tasks_total{status="pending"})`, `sum(ai_team_tasks_total{status="completed"})`, `sum(ai_team_task_duration_seconds_count)`} {
		want[q] = "6"
	}
	want[`count(ai_team_llm_cost_dollars_total)`], want[`count(ai_team_llm_cost_dollars_total{instance="`+addr+`"})`] = "1", "none"
	expect(t, s, want)
}
