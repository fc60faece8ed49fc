package mindbus

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
)

// Headers is a carrier of context over a transport's headers. Names are found whatever their case.
type Headers map[string]string

var _ propagation.TextMapCarrier = Headers(nil)

// Get returns the value of a header, empty when it is not there.
func (h Headers) Get(key string) string {
	if v, ok := h[key]; ok {
		return v
	}
	for k, v := range h {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// Set sets a header.
func (h Headers) Set(key, value string) { h[key] = value }

// Keys returns the headers' names, sorted.
func (h Headers) Keys() []string { return slices.Sorted(maps.Keys(h)) }

// Inject writes the context's trace and baggage as the headers traceparent, tracestate and baggage: W3C's, whatever
// propagator the process has set, since the envelope is a contract between processes.
func Inject(ctx context.Context, h Headers) {
	injectTrace(ctx, h)
	propagation.Baggage{}.Inject(ctx, h)
}

func injectTrace(ctx context.Context, h Headers) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	h["traceparent"] = traceParent(sc)
	if state := sc.TraceState(); state.Len() > 0 {
		h["tracestate"] = state.String()
	}
}

// traceParent writes version 00 of the header, which knows two flags.
func traceParent(sc trace.SpanContext) string {
	b := []byte("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	traceID, spanID := sc.TraceID(), sc.SpanID()
	hex.Encode(b[3:], traceID[:])
	hex.Encode(b[36:], spanID[:])
	hex.Encode(b[53:], []byte{byte(sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom))})
	return string(b)
}

// headers returns empty headers for a message. Give them back with freeHeaders when the transport has it.
func (t *telemetry) headers() Headers {
	if h, ok := t.empty.Get().(Headers); ok {
		return h
	}
	return make(Headers, 3)
}

// freeHeaders takes headers back: what was published is the publisher's again when Publish returns.
func (t *telemetry) freeHeaders(h Headers) {
	clear(h)
	t.empty.Put(h)
}

// inject is Inject, with the baggage of the last message written once.
func (t *telemetry) inject(ctx context.Context, h Headers) {
	injectTrace(ctx, h)
	b := baggage.FromContext(ctx)
	if b.Len() == 0 {
		return
	}
	last := t.sent.Load()
	if last == nil || !last.says(b) {
		last = &writtenBaggage{b.Members(), b.String()}
		if !hasProperties(last.members) {
			t.sent.Store(last)
		}
	}
	if last.header != "" {
		h["baggage"] = last.header
	}
}

func hasProperties(members []baggage.Member) bool {
	return slices.ContainsFunc(members, func(m baggage.Member) bool { return len(m.Properties()) > 0 })
}

// writtenBaggage is a baggage without properties and its header. All messages that an agent sends for a task have the
// same.
type writtenBaggage struct {
	members []baggage.Member
	header  string
}

// says reports whether b is the baggage that was written.
func (w *writtenBaggage) says(b baggage.Baggage) bool {
	if len(w.members) != b.Len() {
		return false
	}
	for i := range w.members {
		m := b.Member(w.members[i].Key())
		if m.Key() == "" || m.Value() != w.members[i].Value() || len(m.Properties()) > 0 {
			return false
		}
	}
	return true
}

// Extract returns ctx with the trace and the baggage of the headers instead of its own. What is missing or malformed
// is left empty, so that work never ends up in the trace of whoever started the consumer.
func Extract(ctx context.Context, h Headers) context.Context {
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	ctx = baggage.ContextWithoutBaggage(ctx)
	ctx = propagation.TraceContext{}.Extract(ctx, h)
	return propagation.Baggage{}.Extract(ctx, h)
}

// extractMessage returns the context of a delivery and the creation context when it is another one. The header wins;
// the event's traceparent stands in for it. The task is the message's own.
func (t *telemetry) extractMessage(ctx context.Context, m *Message, h Headers) (_ context.Context, creation trace.SpanContext) {
	parent, state, bag := contextHeaders(h)
	mc := &messageContext{ctx, t.tasks.join(bag, m.TaskID), traceHeaders{parent, state}}
	ctx = mc
	traced := propagation.TraceContext{}.Extract(ctx, &mc.came)
	if traced == ctx {
		traced = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	}
	hop := trace.SpanContextFromContext(traced)
	// A message that comes straight from where it was made says the same twice.
	if m.TraceParent != "" && (!hop.IsValid() || m.TraceParent != parent) {
		event := &traceHeaders{m.TraceParent, m.TraceState}
		creation = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), event))
	}
	if !hop.IsValid() && creation.IsValid() {
		traced = trace.ContextWithRemoteSpanContext(ctx, creation)
		hop = creation
	}
	if hop.TraceID() == creation.TraceID() && hop.SpanID() == creation.SpanID() {
		creation = trace.SpanContext{}
	}
	return traced, creation
}

// contextHeaders returns what of the headers Inject writes. Nearly all messages have the names as Inject spells them;
// only for others all names are looked through.
func contextHeaders(h Headers) (parent, state, bag string) {
	known := 0
	for _, f := range [...]struct {
		name  string
		value *string
	}{{"traceparent", &parent}, {"tracestate", &state}, {"baggage", &bag}} {
		v, ok := h[f.name]
		if ok {
			*f.value = v
			known++
		}
	}
	if known < len(h) {
		return h.Get("traceparent"), h.Get("tracestate"), h.Get("baggage")
	}
	return parent, state, bag
}

// traceHeaders are the two headers of a trace, to be read.
type traceHeaders struct{ parent, state string }

// Get implements propagation.TextMapCarrier.
func (h *traceHeaders) Get(key string) string {
	switch key {
	case "traceparent":
		return h.parent
	case "tracestate":
		return h.state
	}
	return ""
}

// Set implements propagation.TextMapCarrier; nothing is ever set.
func (*traceHeaders) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (*traceHeaders) Keys() []string { return []string{"traceparent", "tracestate"} }

// messageContext is the worker's context with a message's task in place of whatever task and baggage that one had.
type messageContext struct {
	context.Context
	task context.Context
	came traceHeaders // here since it is to be read through a pointer, and so is one allocation with the context
}

// Value implements context.Context.
func (c *messageContext) Value(key any) any {
	if v := c.task.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// The bounds of joinedTasks: the largest baggage that W3C asks everybody to carry, and more tasks than an agent works
// on at a time.
const (
	maxKeptBaggage = 8192
	maxKeptTasks   = 64
)

// joinedTasks keeps what the baggage of messages says: all messages of one task say the same.
type joinedTasks struct {
	mu   sync.Mutex
	kept map[taskHeaders]context.Context
}

// taskHeaders are a baggage header and the task's id beside it.
type taskHeaders struct{ baggage, task string }

// join returns a context that knows nothing but the task and the baggage.
func (j *joinedTasks) join(bag, task string) context.Context {
	key := taskHeaders{bag, task}
	j.mu.Lock()
	ctx := j.kept[key]
	j.mu.Unlock()
	if ctx != nil {
		return ctx
	}
	ctx = baggage.ContextWithoutBaggage(context.Background())
	if bag != "" {
		ctx = propagation.Baggage{}.Extract(ctx, Headers{"baggage": bag})
	}
	ctx = sdk.JoinTask(ctx, task)
	if len(bag)+len(task) > maxKeptBaggage {
		return ctx
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.kept == nil || len(j.kept) >= maxKeptTasks {
		j.kept = make(map[taskHeaders]context.Context)
	}
	j.kept[key] = ctx
	return ctx
}
