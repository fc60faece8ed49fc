package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/enrich/policy"
	"github.com/mindscope/mindscope/internal/enrich/redact"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

type enrichFigures struct {
	Machine           string  `json:"machine"`
	Runs              int     `json:"runs"`
	SpanUs            float64 `json:"span_us"`
	SpanAllocs        float64 `json:"span_allocs"`
	RedactAll         float64 `json:"redact_all_mb_s"`
	RedactCredentials float64 `json:"redact_credentials_mb_s"`
}

// nowhere ends the chain.
type nowhere struct{}

func (nowhere) Traces(context.Context, signal.Project, ptrace.Traces) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Logs(context.Context, signal.Project, plog.Logs) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

// chain builds the steps in the order of the server, with its defaults and all groups of personal data.
func chain(groups []string) (signal.Sink, error) {
	c, err := cost.New(nowhere{}, cost.Config{})
	if err != nil {
		return nil, err
	}
	r, err := redact.New(c, redact.Config{Groups: groups, LeaveFrom: store.PayloadMinBytes})
	if err != nil {
		return nil, err
	}
	p, err := policy.New(r, policy.Config{})
	if err != nil {
		return nil, err
	}
	return dialect.New(identity.New(p), dialect.Config{})
}

// fifteen makes a request of n spans with 15 attributes each, as an instrumentation of a model's client sends them.
func fifteen(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "writer")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("opentelemetry.instrumentation.openai")
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetName("chat gpt-4o")
		s.SetTraceID([16]byte{1, byte(i >> 8), byte(i)})
		s.SetSpanID([8]byte{1, byte(i >> 8), byte(i)})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		a := s.Attributes()
		a.PutStr("gen_ai.operation.name", "chat")
		a.PutStr("gen_ai.provider.name", "openai")
		a.PutStr("gen_ai.request.model", "gpt-4o")
		a.PutStr("gen_ai.response.model", "gpt-4o-2024-08-06")
		a.PutStr("gen_ai.response.id", "chatcmpl-BhGJDsZlpk55owZCjMyJl8TOGqk0H")
		a.PutStr("gen_ai.agent.name", "writer")
		a.PutStr("gen_ai.conversation.id", "conv-5j66UpCpwteGg4YSxUnt7lPY")
		a.PutInt("gen_ai.usage.input_tokens", 1204)
		a.PutInt("gen_ai.usage.output_tokens", 812)
		a.PutDouble("gen_ai.request.temperature", 0.7)
		a.PutInt("gen_ai.request.max_tokens", 1024)
		a.PutStr("server.address", "api.openai.com")
		a.PutInt("server.port", 443)
		a.PutStr("ai_team.task.id", "task-456")
		a.PutStr("ai_team.task.type", "article")
	}
	return td
}

// spanCost measures the whole chain: nanoseconds and allocations a span. As in the server, each request's memory is given
// back for the next ones, which counts.
func spanCost(groups []string) (ns, allocs float64, err error) {
	if err := signal.ReuseMemory(); err != nil {
		return 0, 0, err
	}
	sink, err := chain(groups)
	if err != nil {
		return 0, 0, err
	}
	const batch, requests = 512, 40
	var spent time.Duration
	spans := 0
	var before, after runtime.MemStats
	for spent < time.Second {
		list := make([]ptrace.Traces, requests)
		for i := range list {
			list[i] = fifteen(batch)
		}
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := cpuTime()
		for _, td := range list {
			if _, err := sink.Traces(context.Background(), signal.DefaultProject, td); err != nil {
				return 0, 0, err
			}
			signal.ReleaseTraces(td)
		}
		spent += cpuTime() - start
		runtime.ReadMemStats(&after)
		allocs += float64(after.Mallocs - before.Mallocs)
		spans += batch * requests
	}
	return float64(spent.Nanoseconds()) / float64(spans), allocs / float64(spans), nil
}

// cpuTime is what this process has used of all cores: time that others took counts for nothing.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// payload is text as agents exchange it: English and Russian prose, figures, addresses, code, and JSON inside JSON.
func payload() string {
	const page = `{"role":"assistant","content":"The quick brown fox jumps over the lazy dog; see https://example.com/a/b?c=d for more. ` +
		`Passing tests matter, says the report of 2026-11-24: 12 of 14 tools answered in 350 ms, order 4567-89 came to 1 204.50 $."},` +
		`{"role":"user","content":"Напиши статью о наблюдаемости: 3 раздела, не больше 1200 слов, к 24.11.2026. Тон деловой, без жаргона."},` +
		`{"role":"tool","content":"{\"rows\":[{\"id\":1001,\"name\":\"alpha\",\"score\":0.9312},{\"id\":1002,\"name\":\"beta\",\"score\":0.8541}],\"took_ms\":17}"},` +
		`{"role":"assistant","content":"func main() {\n\tfor i := range 10 {\n\t\tfmt.Println(i, strings.Repeat(\"x\", i))\n\t}\n}\n// sha256:9f86d081884c7d659a2feaa0c55ad015"},`
	return "[" + strings.Repeat(page, 120) + "{}]"
}

// redaction measures how many megabytes a second one core redacts of text that holds no secret.
func redaction(groups []string) (float64, error) {
	r, err := redact.NewRedactor(redact.Config{Groups: groups})
	if err != nil {
		return 0, err
	}
	text := payload()
	done, start := 0, cpuTime()
	for cpuTime()-start < time.Second {
		for range 100 {
			if _, changed := r.Text(text); changed {
				return 0, errors.New("redaction found a secret where there is none")
			}
		}
		done += 100 * len(text)
	}
	return float64(done) / 1e6 / (cpuTime() - start).Seconds(), nil
}

// enrich measures the steps between receivers and store, a few times each, and writes the medians.
func enrich(runs int, out string) error {
	var micro, allocs, all, credentials []float64
	for range runs {
		n, a, err := spanCost(redact.Groups())
		if err != nil {
			return err
		}
		every, err := redaction(redact.Groups())
		if err != nil {
			return err
		}
		few, err := redaction(nil)
		if err != nil {
			return err
		}
		micro, allocs = append(micro, n/1000), append(allocs, a)
		all, credentials = append(all, every), append(credentials, few)
	}
	median := func(list []float64) float64 {
		slices.Sort(list)
		return math.Round(list[len(list)/2]*100) / 100
	}
	figures := enrichFigures{
		Machine: fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()), Runs: runs,
		SpanUs: median(micro), SpanAllocs: median(allocs), RedactAll: median(all), RedactCredentials: median(credentials),
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	fmt.Printf("%s\n", text)
	return nil
}
