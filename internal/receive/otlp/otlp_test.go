package otlp

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/internal/signal"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// sink is a signal.Sink whose answer a test decides and that remembers what it got.
type sink struct {
	answer func(ctx context.Context, items int) (signal.Rejected, error) // nil takes everything

	mu      sync.Mutex
	project signal.Project
	traces  []ptrace.Traces
	logs    []plog.Logs
	metrics []pmetric.Metrics
}

func (s *sink) take(ctx context.Context, p signal.Project, items int, keep func()) (signal.Rejected, error) {
	s.mu.Lock()
	s.project = p
	keep()
	answer := s.answer
	s.mu.Unlock()
	if signal.ProjectFrom(ctx) != p {
		return signal.Rejected{}, errors.New("the context names another project")
	}
	if answer == nil {
		return signal.Rejected{}, nil
	}
	return answer(ctx, items)
}

func (s *sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	return s.take(ctx, p, td.SpanCount(), func() { s.traces = append(s.traces, td) })
}

func (s *sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	return s.take(ctx, p, ld.LogRecordCount(), func() { s.logs = append(s.logs, ld) })
}

func (s *sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.take(ctx, p, md.DataPointCount(), func() { s.metrics = append(s.metrics, md) })
}

// reports collects what a Receiver observed.
type reports struct {
	mu  sync.Mutex
	all []Report
}

func (r *reports) add(rep Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep.Duration = 0
	r.all = append(r.all, rep)
}

// take returns the reports and forgets them.
func (r *reports) take() []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// start runs a Receiver on free ports until the test ends.
func start(t *testing.T, next signal.Sink, cfg Config) *Receiver {
	t.Helper()
	cfg.GRPC, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	r, err := New(next, slog.New(slog.DiscardHandler), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s (rewrite with -rewrite):\n%s", path, cmp.Diff(string(want), string(got)))
	}
}

// spans makes a request of n spans.
func spans(n int) ptraceotlp.ExportRequest {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		s := ss.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{byte(i >> 8), byte(i), 1})
		s.SetName("chat gpt-4o")
	}
	return ptraceotlp.NewExportRequestFromTraces(td)
}

func spanBytes(t testing.TB, n int) []byte {
	t.Helper()
	b, err := spans(n).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logBytes(t testing.TB) []byte {
	t.Helper()
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("draft saved")
	b, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func metricBytes(t testing.TB) []byte {
	t.Helper()
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("ai_team.tasks")
	m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(1)
	b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
