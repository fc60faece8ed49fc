package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
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
	logger   log.Logger
	interval time.Duration

	mu    sync.Mutex
	spans map[trace.SpanID]sdktrace.ReadWriteSpan
	quit  chan struct{} // nil while no span runs: an idle process has no goroutine of ours
	done  sync.WaitGroup
}

func newRunning(logs *sdklog.LoggerProvider, interval time.Duration) *running {
	return &running{
		logger: logs.Logger(sdk.ScopeName), interval: interval,
		spans: map[trace.SpanID]sdktrace.ReadWriteSpan{},
	}
}

// OnStart implements sdktrace.SpanProcessor.
func (r *running) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	if s.InstrumentationScope().Name != sdk.ScopeName || s.SpanKind() != trace.SpanKindInternal || !isWork(s) {
		return
	}
	r.emit(trace.ContextWithSpan(ctx, s), s, conv.EventAITeamSpanStarted)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spans) >= maxRunning {
		return
	}
	r.spans[s.SpanContext().SpanID()] = s
	if r.quit == nil {
		r.quit = make(chan struct{})
		r.done.Add(1)
		go r.beat(r.quit)
	}
}

// isWork tells tasks and agents from tools, by their names: reading a span's attributes copies them.
func isWork(s sdktrace.ReadOnlySpan) bool {
	const agent = "invoke_agent "
	name := s.Name()
	return name == "execute_task" || len(name) >= len(agent) && name[:len(agent)] == agent
}

func (r *running) emit(ctx context.Context, s sdktrace.ReadWriteSpan, event string) {
	if !r.logger.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityInfo, EventName: event}) {
		return
	}
	var rec log.Record
	rec.SetEventName(event)
	rec.SetTimestamp(time.Now())
	rec.SetSeverity(log.SeverityInfo)
	rec.AddAttributes(
		attribute.String(conv.AITeamSpanName, s.Name()),
		attribute.Int64(conv.AITeamSpanStartTimeUnixNano, s.StartTime().UnixNano()),
		attribute.String(conv.AITeamSpanKind, "internal"))
	if parent := s.Parent(); parent.HasSpanID() {
		rec.AddAttributes(attribute.String(conv.AITeamSpanParentID, parent.SpanID().String()))
	}
	for _, kv := range s.Attributes() {
		if kv.Key == attribute.Key(conv.GenAIOperationName) || event == conv.EventAITeamSpanHeartbeat {
			rec.AddAttributes(kv)
		}
	}
	r.logger.Emit(ctx, rec)
}

func (r *running) beat(quit chan struct{}) {
	defer r.done.Done()
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		r.mu.Lock()
		spans := make([]sdktrace.ReadWriteSpan, 0, len(r.spans))
		for _, s := range r.spans {
			spans = append(spans, s)
		}
		r.mu.Unlock()
		for _, s := range spans {
			r.emit(trace.ContextWithSpan(context.Background(), s), s, conv.EventAITeamSpanHeartbeat)
		}
	}
}

// OnEnd implements sdktrace.SpanProcessor.
func (r *running) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.InstrumentationScope().Name != sdk.ScopeName || !isWork(s) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.spans, s.SpanContext().SpanID())
	if len(r.spans) == 0 && r.quit != nil {
		close(r.quit)
		r.quit = nil
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (r *running) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (r *running) ForceFlush(context.Context) error { return nil }

// stop ends the heartbeats.
func (r *running) stop(context.Context) error {
	r.mu.Lock()
	if r.quit != nil {
		close(r.quit)
		r.quit = nil
	}
	clear(r.spans)
	r.mu.Unlock()
	r.done.Wait()
	return nil
}
