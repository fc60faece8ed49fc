package telemetry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// heartbeatInterval is how often a running task or agent is reported; who misses three is lost.
const heartbeatInterval = 10 * time.Second

// maxRunning bounds the spans that get heartbeats; those beyond it get a start record only.
const maxRunning = 10_000

// running makes work visible before it ends: OpenTelemetry exports a span at its end only. When a task or agent span
// starts it writes a start record, and while the span runs a heartbeat every interval.
type running struct {
	logs     sdklog.Processor // nil when logs are not exported
	template sdklog.Record
	counts   *Stats
	interval time.Duration

	mu      sync.Mutex
	spans   map[trace.SpanID]started
	beating bool // false while no span runs: an idle process has no goroutine of ours
	stopped bool
	quit    chan struct{}
	done    sync.WaitGroup
}

// started is a span that runs, and the context that end gives back.
type started struct {
	span sdktrace.ReadWriteSpan
	ctx  context.Context
}

// newRunning writes records of the resource to logs, which may be nil.
func newRunning(logs sdklog.Processor, res *resource.Resource, cfg config) *running {
	return &running{
		logs: logs, template: recordOf(res), counts: cfg.stats, interval: cfg.heartbeat,
		spans: map[trace.SpanID]started{}, quit: make(chan struct{}),
	}
}

// recordOf makes the record that all others are copies of. A record can be made by a provider alone, but a provider takes
// a good part of the time that StartTask has for each; the keys that we set are different from each other, so that nobody
// needs to look for repeated ones.
func recordOf(res *resource.Resource) sdklog.Record {
	var c catcher
	p := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(&c), sdklog.WithAllowKeyDuplication())
	p.Logger(sdk.ScopeName).Emit(context.Background(), log.Record{})
	return c.rec
}

// catcher is a processor that keeps the last record.
type catcher struct{ rec sdklog.Record }

// Enabled implements sdklog.Processor.
func (*catcher) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor.
func (c *catcher) OnEmit(_ context.Context, r *sdklog.Record) error {
	c.rec = r.Clone()
	return nil
}

// Shutdown implements sdklog.Processor.
func (*catcher) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdklog.Processor.
func (*catcher) ForceFlush(context.Context) error { return nil }

// start reports a task or an agent as running, with the attributes of startAttributes.
func (r *running) start(w started, attrs []attribute.KeyValue) {
	sc := w.span.SpanContext()
	r.write(conv.EventAITeamSpanStarted, w.span, sc, attrs)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || len(r.spans) >= maxRunning {
		return
	}
	r.spans[sc.SpanID()] = w
	if !r.beating {
		r.beating = true
		r.done.Add(1)
		go r.beat()
	}
}

// startAttributes says whose work it is by the context: a span's attributes are copied when they are read and changed
// later.
func startAttributes(ctx context.Context, s sdktrace.ReadOnlySpan) []attribute.KeyValue {
	operation := "invoke_workflow"
	if strings.HasPrefix(s.Name(), agentSpan) {
		operation = "invoke_agent"
	}
	known := sdk.Attributes(ctx)
	attrs := append(make([]attribute.KeyValue, 0, len(known)+5), known...)
	return append(attrs, attribute.String(conv.GenAIOperationName, operation))
}

// write writes a record on a span to the logs. attrs is the caller's no more.
func (r *running) write(event string, s sdktrace.ReadOnlySpan, sc trace.SpanContext, attrs []attribute.KeyValue) {
	if r.logs == nil {
		return
	}
	attrs = append(attrs,
		attribute.String(conv.AITeamSpanName, s.Name()),
		attribute.Int64(conv.AITeamSpanStartTimeUnixNano, s.StartTime().UnixNano()),
		attribute.String(conv.AITeamSpanKind, "internal"))
	if parent := s.Parent(); parent.HasSpanID() {
		attrs = append(attrs, attribute.String(conv.AITeamSpanParentID, parent.SpanID().String()))
	}
	now := time.Now()
	rec := r.template
	rec.SetEventName(event)
	rec.SetTimestamp(now)
	rec.SetObservedTimestamp(now)
	rec.SetSeverity(log.SeverityInfo)
	rec.SetTraceID(sc.TraceID())
	rec.SetSpanID(sc.SpanID())
	rec.SetTraceFlags(sc.TraceFlags())
	rec.SetAttributes(attrs...)
	r.counts.logs.made.Add(1)
	if err := r.logs.OnEmit(context.Background(), &rec); err != nil {
		otel.Handle(err)
	}
}

// beat writes heartbeats until it finds that nothing runs any more.
func (r *running) beat() {
	defer r.done.Done()
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-tick.C:
		}
		r.mu.Lock()
		all := slices.Collect(maps.Values(r.spans))
		r.beating = len(all) > 0
		r.mu.Unlock()
		if len(all) == 0 {
			return
		}
		for _, w := range all {
			r.write(conv.EventAITeamSpanHeartbeat, w.span, w.span.SpanContext(), slices.Clone(w.span.Attributes()))
		}
	}
}

// end forgets a task or an agent, and returns the context it was started with, nil when it is not known.
func (r *running) end(id trace.SpanID) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx := r.spans[id].ctx
	delete(r.spans, id)
	return ctx
}

// stop ends the heartbeats.
func (r *running) stop() {
	r.mu.Lock()
	if !r.stopped {
		r.stopped = true
		close(r.quit)
	}
	clear(r.spans)
	r.mu.Unlock()
	r.done.Wait()
}
