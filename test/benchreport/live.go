package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// liveTasks run at once; every liveChange liveBatch agents among them begin or end.
	liveTasks  = 1000
	liveChange = 100 * time.Millisecond
	liveBatch  = 20
	// liveLimit is when an event that is not seen is given up.
	liveLimit = 10 * time.Second
)

type liveFigures struct {
	Machine   string  `json:"machine"`
	Tasks     int     `json:"tasks"`
	Probes    int     `json:"probes"`
	MedianMs  float64 `json:"visible_median_ms"`
	P95Ms     float64 `json:"visible_p95_ms"`
	MaxMs     float64 `json:"visible_max_ms"`
	ChangesPS float64 `json:"changes_per_second"`
	EventKB   float64 `json:"event_kb"`
	WholeKB   float64 `json:"whole_kb"`
	StreamKBS float64 `json:"stream_kb_per_second"`
}

// live measures the time from the sending of a start record until the stream of what runs shows it, while liveTasks run
// and others of them change.
func live(bin string, probes int, out string) (err error) {
	dir, err := os.MkdirTemp("", "mindscope-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addrs, err := freeAddrs(3)
	if err != nil {
		return err
	}
	cmd := exec.Command(bin, "serve", "--data", dir, "--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2])
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start server (make build makes it): %w", err)
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := untilReady(ctx, addrs[0]); err != nil {
		return err
	}
	b := &liveBench{otlp: "http://" + addrs[2], seen: make(chan sighting, 1000)}
	stream := "http://" + addrs[0] + "/api/mindscope/v1/live"
	if err := b.watch(ctx, stream); err != nil {
		return err
	}
	f, err := b.measure(ctx, probes)
	if err != nil {
		return err
	}
	whole, err := firstEvent(ctx, stream)
	if err != nil {
		return err
	}
	f.WholeKB = tenth(float64(whole) / 1000)
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// sighting is an event of the stream that holds a probe's name, or all tasks.
type sighting struct {
	probe string
	at    time.Time
	size  int
	all   bool
}

type liveBench struct {
	otlp string
	seen chan sighting

	mu     sync.Mutex
	probe  string // what is looked for
	bytes  int    // of all lines
	change int
}

// watch reads the stream in the background.
func (b *liveBench) watch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	go func() {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(make([]byte, 0, 1<<20), 64<<20)
		for lines.Scan() {
			b.line(lines.Bytes())
		}
	}()
	return nil
}

func (b *liveBench) line(data []byte) {
	at := time.Now()
	b.mu.Lock()
	probe := b.probe
	b.bytes += len(data) + 1
	b.mu.Unlock()
	s := sighting{at: at, size: len(data), all: bytes.HasSuffix(data, []byte(fmt.Sprintf(`"total":%d}`, liveTasks)))}
	if probe != "" && bytes.Contains(data, []byte(`"agent":"`+probe+`"`)) {
		s.probe = probe
	}
	if s.all || s.probe != "" {
		select {
		case b.seen <- s:
		default: // nobody waits
		}
	}
}

// read is how much of the stream was read.
func (b *liveBench) read() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// firstEvent returns the size of what a new watcher is told at first.
func firstEvent(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("ask for the stream: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("watch: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 1<<20), 64<<20)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			return len(data), nil
		}
	}
	return 0, fmt.Errorf("watch: the stream ended: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

func (b *liveBench) measure(ctx context.Context, probes int) (liveFigures, error) {
	f := liveFigures{
		Machine: fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Tasks:   liveTasks, Probes: probes,
	}
	var records []string
	for i := range liveTasks {
		records = append(records, begun(i, 1, "", "execute_task", "boss"))
	}
	if err := b.logs(ctx, records); err != nil {
		return f, err
	}
	if _, err := b.wait(func(s sighting) bool { return s.all }); err != nil {
		return f, fmt.Errorf("wait until all tasks run: %w", err)
	}
	changing, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { b.changes(changing, failed) })
	begin, before := time.Now(), b.read()
	took := make([]float64, 0, probes)
	for i := range probes {
		probe := fmt.Sprintf("probe-%d", i)
		b.mu.Lock()
		b.probe = probe
		b.mu.Unlock()
		sent := time.Now()
		if err := b.logs(ctx, []string{begun(i%liveTasks, 1000+i, "1", "invoke_agent "+probe, probe)}); err != nil {
			return f, err
		}
		s, err := b.wait(func(s sighting) bool { return s.probe == probe })
		if err != nil {
			return f, fmt.Errorf("probe %d: %w", i, err)
		}
		took = append(took, float64(s.at.Sub(sent))/1e6)
		f.EventKB = max(f.EventKB, tenth(float64(s.size)/1000))
	}
	f.StreamKBS = tenth(float64(b.read()-before) / 1000 / time.Since(begin).Seconds())
	stop()
	running.Wait()
	select {
	case err := <-failed:
		return f, err
	default:
	}
	slices.Sort(took)
	f.ChangesPS = tenth(float64(b.change) / time.Since(begin).Seconds())
	f.MedianMs, f.P95Ms, f.MaxMs = tenth(took[len(took)/2]), tenth(took[len(took)*95/100]), tenth(took[len(took)-1])
	return f, nil
}

// changes lets agents begin in tasks until ctx ends.
func (b *liveBench) changes(ctx context.Context, failed chan<- error) {
	tick := time.NewTicker(liveChange)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var records []string
		for range liveBatch {
			// The same few spans of each task begin again and again: a second start record is a sign of life.
			records = append(records, begun(b.change*7%liveTasks, 2+b.change/liveTasks%3, "1", "invoke_agent writer", "writer"))
			b.change++
		}
		if err := b.logs(ctx, records); err != nil && ctx.Err() == nil {
			failed <- err
			return
		}
	}
}

func (b *liveBench) wait(is func(sighting) bool) (sighting, error) {
	timer := time.NewTimer(liveLimit)
	defer timer.Stop()
	for {
		select {
		case s := <-b.seen:
			if is(s) {
				return s, nil
			}
		case <-timer.C:
			return sighting{}, fmt.Errorf("not seen within %s", liveLimit)
		}
	}
}

// begun is a start record of the n-th task as OTLP JSON.
func begun(task, span int, parent, name, agent string) string {
	now := time.Now().UnixNano()
	if parent != "" {
		parent = fmt.Sprintf(`{"key":"ai_team.span.parent_id","value":{"stringValue":"%016s"}},`, parent)
	}
	return fmt.Sprintf(`{"timeUnixNano":"%[1]d","eventName":"ai_team.span.started","traceId":"%032[2]x","spanId":"%016[3]x","attributes":[%[4]s`+
		`{"key":"ai_team.task.id","value":{"stringValue":"task-%[2]d"}},{"key":"ai_team.task.type","value":{"stringValue":"article"}},`+
		`{"key":"ai_team.span.name","value":{"stringValue":"%[5]s"}},{"key":"gen_ai.agent.name","value":{"stringValue":"%[6]s"}},`+
		`{"key":"ai_team.span.start_time_unix_nano","value":{"intValue":"%[1]d"}}]}`, now, task+1, span, parent, name, agent)
}

func (b *liveBench) logs(ctx context.Context, records []string) error {
	body := `{"resourceLogs":[{"resource":{"attributes":[{"key":"ai_team.team","value":{"stringValue":"press"}}]},"scopeLogs":[{"logRecords":[` +
		strings.Join(records, ",") + `]}]}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.otlp+"/v1/logs", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(answer) != "{}") {
		err = fmt.Errorf("status %d, %s", resp.StatusCode, answer)
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}
