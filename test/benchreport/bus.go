package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

type busFigures struct {
	Machine   string  `json:"machine"`
	Messages  int     `json:"messages"`
	PerSecond float64 `json:"tap_per_second"`
	PerCore   float64 `json:"tap_per_core_second"`
	Dropped   float64 `json:"tap_dropped"`
	PeakMB    float64 `json:"tap_peak_rss_mb"`
}

// busLag bounds the messages that are sent and not yet read: less than the tap's queue holds.
const busLag = 8000

// bus lets a server with one core read along on a broker on which a team talks, and writes how fast it does.
func bus(bin string, messages int, out string) (err error) {
	dir, err := os.MkdirTemp("", "mindscope-bench-bus-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	services := exec.Command("scripts/services.sh", "start", dir, "rabbitmq")
	services.Env = append(os.Environ(), "FORMAT=json", fmt.Sprint("OWNER=", os.Getpid()))
	services.Stderr = os.Stderr
	text, err := services.Output()
	if err != nil {
		return fmt.Errorf("start RabbitMQ: %w", err)
	}
	defer func() { err = errors.Join(err, exec.Command("scripts/services.sh", "stop", dir, "rabbitmq").Run()) }()
	var urls struct{ RabbitMQ string }
	if err := json.Unmarshal(text, &urls); err != nil {
		return fmt.Errorf("read where RabbitMQ listens: %w", err)
	}
	f, err := readAlong(bin, dir+"/data", urls.RabbitMQ, messages)
	if err != nil {
		return err
	}
	f.Machine = fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	encoded, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	return os.WriteFile(out, append(encoded, '\n'), 0o644)
}

// readAlong starts the server, lets the team talk and waits until all was read.
func readAlong(bin, data, url string, messages int) (f busFigures, err error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return f, err
	}
	cmd := exec.Command(bin, "serve", "--data", data, "--listen", addrs[0], "--otlp.grpc", addrs[1], "--otlp.http", addrs[2],
		"--mindbus.url", url)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := cmd.Start(); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := untilReady(ctx, addrs[0]); err != nil {
		return f, err
	}
	tap := tapOf{ctx, addrs[0]}
	if err := tap.until("mindscope_bus_connected", 1); err != nil {
		return f, err
	}
	cpu, err := cpuSeconds(cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	begin := time.Now()
	if err := talk(ctx, url, messages, tap); err != nil {
		return f, err
	}
	if err := tap.until("mindscope_bus_messages_total", float64(messages)); err != nil {
		return f, err
	}
	took := time.Since(begin)
	used, err := cpuSeconds(cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	dropped, err := tap.sum("mindscope_bus_dropped_total", "mindscope_bus_queue_dropped_total")
	if err != nil {
		return f, err
	}
	peak, err := peakMB(cmd.Process.Pid)
	return busFigures{
		Messages: messages, PerSecond: float64(int(float64(messages) / took.Seconds())),
		PerCore: float64(int(float64(messages) / (used - cpu))), Dropped: dropped, PeakMB: tenth(peak),
	}, err
}

// talk sends commands and their answers, two each for a task, as agents without telemetry do.
func talk(ctx context.Context, url string, messages int, tap tapOf) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	article := strings.Repeat("Bees find their way by the sun. ", 20)
	for i := 0; i < messages; i += 2 {
		task, id := i/4, fmt.Sprint("c", i)
		command := fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"type":"ai.team.command","source":"orchestrator","toagent":"writer","subject":"task-%d","time":%q,"datacontenttype":"application/json","data":{"topic":"Bees","words":1200}}`,
			id, task, time.Now().UTC().Format(time.RFC3339Nano))
		answer := fmt.Appendf(nil, `{"specversion":"1.0","id":"r%d","type":"ai.team.result","source":"writer","toagent":"orchestrator","subject":"task-%d","time":%q,"datacontenttype":"application/json","data":{"text":%q,"metrics":{"model":"gpt-4o","tokens_used":2016,"estimated_cost_usd":0.0111}}}`,
			i, task, time.Now().UTC().Format(time.RFC3339Nano), article)
		if err := ch.PublishWithContext(ctx, "mindbus.main", "cmd.writer.writer", false, false, amqp.Publishing{Body: command}); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if err := ch.PublishWithContext(ctx, "mindbus.main", "res.orchestrator.writer", false, false, amqp.Publishing{Body: answer, CorrelationId: id}); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if i%2000 == 0 {
			if err := tap.until("mindscope_bus_messages_total", float64(i-busLag)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tapOf reads the tap's figures from the server.
type tapOf struct {
	ctx  context.Context
	addr string
}

// until waits until a counter has reached a value.
func (t tapOf) until(name string, want float64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := t.sum(name)
		if err != nil || got >= want {
			return err
		}
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return fmt.Errorf("%s is %v, want %v: %w", name, got, want, t.ctx.Err())
		}
	}
}

func (t tapOf) sum(names ...string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, "http://"+t.addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		for _, name := range names {
			var v float64
			if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
				if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
					return 0, fmt.Errorf("read %s: %w", name, err)
				}
				sum += v
			}
		}
	}
	return sum, nil
}

// cpuSeconds reads how much of the processors a process has used.
func cpuSeconds(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the time of a process: %w", err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("read the time of a process: %w", err)
	}
	return (user + system) / 100, nil // Linux counts hundredths for programs on every machine of ours
}

func peakMB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			return kib * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("read the memory of a process: there is no VmHWM")
}
