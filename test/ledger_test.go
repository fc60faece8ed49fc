package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/test/harness"
)

const protoBody = "application/x-protobuf"

// postScenario posts a scenario to the server's OTLP port.
func postScenario(t *testing.T, s *harness.Server, text string) {
	t.Helper()
	traces, logs, err := teamtest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	records, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string][]byte{"/v1/traces": spans, "/v1/logs": records} {
		if status, answer := harness.Post(t, s.OTLPHTTP+path, protoBody, body); status != http.StatusOK || len(answer) != 0 {
			t.Fatalf("send to %s: status %d, %s", path, status, answer)
		}
	}
}

type auditAnswer struct {
	Complete bool
	Score    float64
	Findings []struct{ Hop, Agent, Kind, Text string }
}

// TestBrokenTasksAreAudited sends a healthy task and the twelve broken ones through the real server, a request a span, and
// asks for the account of each by the API and by the command line.
func TestBrokenTasksAreAudited(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	begin := "at " + time.Now().UTC().Add(-2*time.Hour).Format(time.RFC3339) + "\n"
	all := teamtest.Breakages()
	for _, b := range all {
		for _, line := range b.Lines {
			postScenario(t, s, begin+line)
		}
	}
	for n, b := range all {
		harness.Eventually(t, visible, b.Name, func() error {
			var l auditAnswer
			if err := s.Get("/api/mindscope/v1/tasks/"+teamtest.TaskOf(n)+"/audit", &l); err != nil {
				return err
			}
			if b.Kind == "" {
				if !l.Complete || l.Score != 100 {
					return fmt.Errorf("the healthy task: %+v", l)
				}
				return nil
			}
			if len(l.Findings) != 1 || l.Score != b.Score || l.Complete {
				return fmt.Errorf("want %v and one finding: %+v", b.Score, l)
			}
			if f := l.Findings[0]; f.Hop != b.Hop || f.Agent != b.Agent || f.Kind != b.Kind || f.Text != b.Text {
				return fmt.Errorf("want %s at %s's %s, %q: %+v", b.Kind, b.Agent, b.Hop, b.Text, f)
			}
			return nil
		})
		out, errOut, code := s.Run(t, "audit", teamtest.TaskOf(n))
		want := 5
		if b.Kind == "" {
			want = 0
		}
		if code != want || !strings.Contains(out, fmt.Sprintf("%.1f %% complete", b.Score)) || !strings.Contains(out, b.Text) {
			t.Errorf("%s: `mindscope audit` exits with %d, want %d:\n%s%s", b.Name, code, want, out, errOut)
		}
	}
}

// TestFindingsSurviveKill: what was found counts once a task, through a crash and a restart.
func TestFindingsSurviveKill(t *testing.T) {
	t.Setenv("MINDSCOPE_LEDGER_SETTLE", "1s")
	s := harness.Start(t, harness.Options{})
	begin := "at " + time.Now().UTC().Add(-2*time.Hour).Format(time.RFC3339) + "\n"
	for _, b := range teamtest.Breakages() {
		postScenario(t, s, begin+strings.Join(b.Lines, ""))
	}
	const counter = "ai_team_hops_missing_total{"
	const counts = 11 // the twelfth is the one without a root: its end is never seen, so that it is waited for longer
	counted := func(s *harness.Server) func() error {
		return func() error {
			if n := s.Metric(t, counter); n != counts {
				by := ""
				for _, hop := range []string{"message", "llm", "record", "artifact", "log", "span"} {
					by += fmt.Sprintf(" %s %v", hop, s.Metric(t, counter+`hop="`+hop+`"`))
				}
				return fmt.Errorf("%v findings are counted, want %v:%s", n, counts, by)
			}
			return nil
		}
	}
	harness.Eventually(t, 30*time.Second, "all findings to be counted", counted(s))
	if n := s.Metric(t, counter+`hop="message"`); n != 6 {
		t.Errorf("%v of hop message, want 6", n)
	}
	var page struct{ Tasks []struct{ ID string } }
	harness.Eventually(t, visible, "the lone trace to be part of its task", func() error {
		err := s.Get("/api/mindscope/v1/tasks?limit=100", &page)
		if err == nil && len(page.Tasks) != 13 {
			err = fmt.Errorf("%d tasks, want 13", len(page.Tasks))
		}
		return err
	})
	s.Kill(t)
	again := harness.Start(t, harness.Options{Data: s.Data})
	if err := counted(again)(); err != nil {
		t.Errorf("at once after the crash: %v", err)
	}
	// Tasks whose end was in no checkpoint are audited once more, and a late span has its task audited anew.
	postScenario(t, again, begin+"service newsroom\nresource ai_team.team=press\ntrace 11\nexecute_task | 0s 20s | id=1f ai_team.task.id="+teamtest.TaskOf(1)+
		" gen_ai.operation.name=invoke_workflow gen_ai.agent.name=orchestrator outcome=completed\n")
	harness.Eventually(t, 30*time.Second, "the task to be audited again", func() error {
		if again.Metric(t, "mindscope_ledger_audited_tasks_total") == 0 {
			return errors.New("nothing was audited")
		}
		return nil
	})
	if err := counted(again)(); err != nil {
		t.Errorf("after another audit: %v", err)
	}
}

// TestForgetfulTeamIsNamed: the demo team whose agents drop the context of what they take. The ledger names each agent and
// the hop, finds the traces that they began, and makes them part of their tasks.
func TestForgetfulTeamIsNamed(t *testing.T) {
	t.Setenv("MINDSCOPE_LEDGER_SETTLE", "1s")
	s := harness.Start(t, harness.Options{})
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./articleteam", "--dir", dir, "--latency", "20ms", "--tasks", "3", "--drop-context")
	cmd.Dir = filepath.Join(harness.Root(t), "examples")
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.OTLPGRPC)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run the team: %v\n%s", err, out)
	}
	for _, id := range []string{"task-401", "task-402", "task-403"} {
		harness.Eventually(t, visible, id, func() error {
			var l auditAnswer
			if err := s.Get("/api/mindscope/v1/tasks/"+id+"/audit", &l); err != nil {
				return err
			}
			var named []string
			for _, f := range l.Findings {
				if f.Hop != "message" || f.Kind != "new_trace" {
					return fmt.Errorf("not what happened: %+v", f)
				}
				named = append(named, f.Agent)
			}
			if got := strings.Join(named, " "); got != "critic editor writer" {
				return fmt.Errorf("the agents %q are named", got)
			}
			return nil
		})
		if out, _, code := s.Run(t, "audit", id); code != 5 || !strings.Contains(out, "writer took orchestrator's COMMAND and began trace") {
			t.Errorf("`mindscope audit %s` exits with %d:\n%s", id, code, out)
		}
	}
	harness.Eventually(t, 30*time.Second, "the traces to be part of their tasks", func() error {
		var page struct {
			Tasks []struct {
				ID     string
				Traces []string
				Tokens struct{ Total int64 }
			}
		}
		if err := s.Get("/api/mindscope/v1/tasks?limit=100", &page); err != nil {
			return err
		}
		if len(page.Tasks) != 3 {
			return fmt.Errorf("%d tasks, want 3", len(page.Tasks))
		}
		for _, task := range page.Tasks {
			if len(task.Traces) != 4 || task.Tokens.Total == 0 {
				return fmt.Errorf("%s has the traces %v and %d tokens", task.ID, task.Traces, task.Tokens.Total)
			}
		}
		return nil
	})
}
