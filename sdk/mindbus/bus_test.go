package mindbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

const patience = 20 * time.Second

// team is a bus with its transport and the spans that were made.
type team struct {
	*testing.T
	bus   *mindbus.Bus
	tr    *mindbus.Memory
	spans *tracetest.SpanRecorder
	ctx   context.Context
}

func newTeam(t *testing.T) *team {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	old := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tr := mindbus.NewMemory()
	bus, err := mindbus.New(tr, mindbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(ctx); err != nil {
			t.Errorf("close bus: %v", err)
		}
		if err := tr.Close(); err != nil {
			t.Errorf("close transport: %v", err)
		}
		cancel()
		otel.SetTracerProvider(old)
	})
	return &team{T: t, bus: bus, tr: tr, spans: spans, ctx: ctx}
}

func (tm *team) handle(agent string, h mindbus.Handler, opts ...mindbus.HandleOption) {
	tm.Helper()
	if err := tm.bus.Handle(tm.ctx, agent, h, opts...); err != nil {
		tm.Fatalf("handle: %v", err)
	}
}

// closeAll ends the bus, after which all spans are there.
func (tm *team) closeAll() {
	tm.Helper()
	if err := tm.bus.Close(tm.ctx); err != nil {
		tm.Errorf("close: %v", err)
	}
}

// span returns the one ended span of the name.
func (tm *team) span(name string) sdktrace.ReadOnlySpan {
	tm.Helper()
	var found []sdktrace.ReadOnlySpan
	var names []string
	for _, s := range tm.spans.Ended() {
		names = append(names, s.Name())
		if s.Name() == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		tm.Fatalf("%d spans %q among %q", len(found), name, names)
	}
	return found[0]
}

func attrs(s sdktrace.ReadOnlySpan) map[string]any {
	m := map[string]any{}
	for _, kv := range s.Attributes() {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

func command(t *testing.T, to string, payload any) mindbus.Message {
	t.Helper()
	m, err := mindbus.NewMessage(mindbus.Command, "", to, payload)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func echo(_ context.Context, m mindbus.Message) (any, error) { return m.Payload, nil }

func TestRequest(t *testing.T) {
	tm := newTeam(t)
	var seen mindbus.Message
	var task, user string
	tm.handle("writer-2", func(ctx context.Context, m mindbus.Message) (any, error) {
		ctx, agent := sdk.StartAgent(ctx, "writer-2")
		defer agent.End(nil)
		seen, task, user = m, sdk.TaskID(ctx), sdk.TypeOfTask(ctx)
		return map[string]string{"text": "Bees."}, nil
	})
	ctx, done := sdk.StartTask(tm.ctx, "task-456", sdk.TaskType("article"))
	ctx, boss := sdk.StartAgent(ctx, "orchestrator")
	cmd := command(t, "writer-2", map[string]int{"words": 7})
	res, err := tm.bus.Request(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	boss.End(nil)
	done.End(nil)
	tm.closeAll()

	if seen.ID != cmd.ID || seen.From != "orchestrator" || seen.To != "writer-2" || string(seen.Payload) != `{"words":7}` {
		t.Errorf("the agent got %+v", seen)
	}
	if task != "task-456" || user != "article" {
		t.Errorf("the agent works on task %q of type %q", task, user)
	}
	if res.Type != mindbus.Result || res.From != "writer-2" || res.To != "orchestrator" || res.TaskID != "task-456" ||
		res.CorrelationID != cmd.ID || string(res.Payload) != `{"text":"Bees."}` {
		t.Errorf("the answer is %+v", res)
	}
	want := mindbus.BusStats{Sent: 2, Processed: 1}
	if diff := cmp.Diff(want, tm.bus.Stats()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	tm.checkChain("invoke_agent orchestrator", "send cmd.writer", "process agent.writer", "invoke_agent writer-2")
	tm.checkChain("process agent.writer", "send res.orchestrator", "process reply.orchestrator")
	tm.checkHop(cmd.ID)
}

// checkChain checks that each span is the parent of the next, in one trace.
func (tm *team) checkChain(names ...string) {
	tm.Helper()
	for i, name := range names[1:] {
		parent, child := tm.span(names[i]), tm.span(name)
		if child.Parent().SpanID() != parent.SpanContext().SpanID() ||
			child.SpanContext().TraceID() != parent.SpanContext().TraceID() {
			tm.Errorf("%q is no child of %q", name, names[i])
		}
		if got := attrs(child)["ai_team.task.id"]; got != "task-456" {
			tm.Errorf("%q has the task %v", name, got)
		}
	}
}

// checkHop checks the two spans of the command against the conventions.
func (tm *team) checkHop(id string) {
	tm.Helper()
	send, process := tm.span("send cmd.writer"), tm.span("process agent.writer")
	if send.SpanKind() != trace.SpanKindProducer || process.SpanKind() != trace.SpanKindConsumer {
		tm.Errorf("kinds are %v and %v", send.SpanKind(), process.SpanKind())
	}
	links := process.Links()
	if len(links) != 1 || links[0].SpanContext.SpanID() != send.SpanContext().SpanID() {
		tm.Errorf("links of the process span are %v, want one to the send span", links)
	}
	common := map[string]any{
		"messaging.system": "memory", "messaging.message.id": id,
		"messaging.rabbitmq.destination.routing_key": "cmd.writer.writer-2",
		"ai_team.message.type":                       "COMMAND", "ai_team.message.from_agent": "orchestrator",
		"ai_team.message.to_agent": "writer-2", "ai_team.task.id": "task-456", "ai_team.task.type": "article",
	}
	f := func(s sdktrace.ReadOnlySpan, own map[string]any) {
		tm.Helper()
		got := attrs(s)
		if size, _ := got["messaging.message.body.size"].(int64); size < 100 {
			tm.Errorf("%s: body size is %d", s.Name(), size)
		}
		delete(got, "messaging.message.body.size")
		if wait, ok := got["ai_team.message.wait_ms"].(float64); ok != (s == process) || wait < 0 || wait > 10_000 {
			tm.Errorf("%s: waited %v ms", s.Name(), got["ai_team.message.wait_ms"])
		}
		delete(got, "ai_team.message.wait_ms")
		maps.Copy(own, common)
		if diff := cmp.Diff(own, got); diff != "" {
			tm.Errorf("attributes of %s (-want +got):\n%s", s.Name(), diff)
		}
	}
	f(send, map[string]any{
		"messaging.operation.name": "send", "messaging.operation.type": "send", "gen_ai.agent.name": "orchestrator",
		"messaging.destination.name": "mindbus.main:cmd.writer.writer-2", "messaging.destination.template": "cmd.writer",
	})
	f(process, map[string]any{
		"messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name":              "mindbus.main:cmd.writer.writer-2:agent.writer-2",
		"messaging.destination.template":          "agent.writer",
		"messaging.rabbitmq.message.delivery_tag": int64(1), "ai_team.message.redelivered": false,
	})
}

// TestWire looks at the bytes and headers as a tap on the exchange sees them.
func TestWire(t *testing.T) {
	tm := newTeam(t)
	tap := mindbus.Queue{Name: "tap", Bindings: []mindbus.Binding{{Exchange: "mindbus.main", Pattern: "#"}}}
	if err := tm.tr.Declare(tm.ctx, tap); err != nil {
		t.Fatal(err)
	}
	tm.handle("writer", echo)
	ctx, task := sdk.StartTask(tm.ctx, "task 456; é", sdk.TaskType("article"))
	m := command(t, "writer", nil)
	m.From = "orchestrator"
	if _, err := tm.bus.Request(ctx, m); err != nil {
		t.Fatal(err)
	}
	task.End(nil)
	consumer, err := tm.tr.Consume(tm.ctx, "tap", 10)
	if err != nil {
		t.Fatal(err)
	}
	f := func(key, kind string, priority uint8, span string) mindbus.Delivery {
		t.Helper()
		d := <-consumer.Deliveries()
		if d.Exchange != "mindbus.main" || d.Key != key || d.Priority != priority || d.ContentType != mindbus.ContentType {
			t.Errorf("got %+v", d)
		}
		var event map[string]any
		if err := json.Unmarshal(d.Body, &event); err != nil {
			t.Fatal(err)
		}
		sc := tm.span(span).SpanContext()
		parent := fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID())
		if event["type"] != kind || event["subject"] != "task 456; é" || event["traceparent"] != parent {
			t.Errorf("event is %v, want the creation context %s", event, parent)
		}
		if d.Headers["traceparent"] != parent {
			t.Errorf("header traceparent is %q, want %q", d.Headers["traceparent"], parent)
		}
		if b := d.Headers["baggage"]; !strings.Contains(b, "ai_team.task.id=task%20456%3B%20%C3%A9") {
			t.Errorf("header baggage is %q", b)
		}
		return d
	}
	cmd := f("cmd.writer.writer", "ai.team.command", 5, "send cmd.writer")
	res := f("res.orchestrator.writer", "ai.team.result", 5, "send res.orchestrator")
	if cmd.ReplyTo == "" || cmd.MessageID != m.ID || res.CorrelationID != m.ID {
		t.Errorf("reply to %q, ids %q and %q; command's id is %q", cmd.ReplyTo, cmd.MessageID, res.CorrelationID, m.ID)
	}
}

// TestForward: a message that is sent on keeps its creation context, and the consumer links to it.
func TestForward(t *testing.T) {
	tm := newTeam(t)
	const creation = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	done := make(chan struct{})
	tm.handle("writer", func(context.Context, mindbus.Message) (any, error) { close(done); return nil, nil })
	m := command(t, "writer", nil)
	m.From, m.TraceParent = "tap", creation
	if err := tm.bus.Publish(tm.ctx, m); err != nil {
		t.Fatal(err)
	}
	<-done
	tm.closeAll()
	links := tm.span("process agent.writer").Links()
	if len(links) != 2 || links[1].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("links are %v, want the send span and the creation context", links)
	}
	if got := tm.span("process agent.writer").Parent().SpanID(); got != tm.span("send cmd.writer").SpanContext().SpanID() {
		t.Errorf("parent is %v, want the send span", got)
	}
}

// TestWithoutHeaders: the event's own context stands in for missing headers, as with senders that know nothing of them.
func TestWithoutHeaders(t *testing.T) {
	tm := newTeam(t)
	done := make(chan string, 1)
	tm.handle("writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
		done <- sdk.TaskID(ctx)
		return nil, nil
	})
	body, err := mindbus.Encode(mindbus.Message{
		ID: "1", Type: mindbus.Command, From: "tool", To: "writer", TaskID: "task-456",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := mindbus.Publishing{Exchange: "mindbus.main", Key: "cmd.writer.writer", Body: body}
	if err := tm.tr.Publish(tm.ctx, p); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != "task-456" {
		t.Errorf("the task is %q", got)
	}
	tm.closeAll()
	if got := tm.span("process agent.writer").Parent().SpanID().String(); got != "b7ad6b7169203331" {
		t.Errorf("parent is %s", got)
	}
}

func TestHandlerFails(t *testing.T) {
	f := func(fail error, want *mindbus.Error) {
		t.Helper()
		tm := newTeam(t)
		defer tm.closeAll()
		tm.handle("writer", func(context.Context, mindbus.Message) (any, error) { return nil, fail })
		m := command(t, "writer", nil)
		m.From = "orchestrator"
		res, err := tm.bus.Request(tm.ctx, m)
		var got *mindbus.Error
		if !errors.As(err, &got) || got.Code != want.Code || got.Message != want.Message || got.Retryable != want.Retryable {
			t.Errorf("error is %v, want %+v", err, want)
		}
		wire := fmt.Sprintf(`{"error":{"code":%q,"message":%q,"retryable":%v}}`, want.Code, want.Message, want.Retryable)
		if res.Type != mindbus.ErrorResult || string(res.Payload) != wire {
			t.Errorf("answer is %s %s, want %s", res.Type, res.Payload, wire)
		}
		tm.closeAll()
		s := tm.span("process agent.writer")
		if s.Status().Code != codes.Error || attrs(s)["error.type"] != string(want.Code) || len(s.Events()) != 1 {
			t.Errorf("status %v, error.type %v, %d events", s.Status(), attrs(s)["error.type"], len(s.Events()))
		}
		if got := tm.bus.Stats(); got.Failed != 1 || got.Processed != 1 || got.Panicked != 0 {
			t.Errorf("counters are %+v", got)
		}
	}
	f(errors.New("no idea"), &mindbus.Error{Code: mindbus.CodeUnknown, Message: "no idea"})
	f(context.DeadlineExceeded,
		&mindbus.Error{Code: mindbus.CodeDeadlineExceeded, Message: "context deadline exceeded", Retryable: true})
	f(context.Canceled, &mindbus.Error{Code: mindbus.CodeCancelled, Message: "context canceled", Retryable: true})
	f(mindbus.NewError(mindbus.CodeNotFound, false, errors.New("gone")),
		&mindbus.Error{Code: mindbus.CodeNotFound, Message: "gone"})
	f(fmt.Errorf("write: %w", &mindbus.Error{Code: mindbus.CodeUnavailable, Message: "busy", Retryable: true}),
		&mindbus.Error{Code: mindbus.CodeUnavailable, Message: "write: UNAVAILABLE: busy", Retryable: true})
}

func TestHandlerPanics(t *testing.T) {
	tm := newTeam(t)
	tm.handle("writer", func(ctx context.Context, m mindbus.Message) (_ any, err error) {
		_, agent := sdk.StartAgent(ctx, "writer")
		defer agent.End(&err)
		if len(m.Payload) == 0 {
			panic("empty payload")
		}
		return m.Payload, nil
	})
	m := command(t, "writer", nil)
	m.From = "orchestrator"
	_, err := tm.bus.Request(tm.ctx, m)
	var e *mindbus.Error
	if !errors.As(err, &e) || e.Code != mindbus.CodeInternal || e.Message != "panic: empty payload" || e.Retryable {
		t.Errorf("error is %v", err)
	}
	// The agent lives on.
	m = command(t, "writer", 1)
	m.From = "orchestrator"
	if _, err := tm.bus.Request(tm.ctx, m); err != nil {
		t.Errorf("after the panic: %v", err)
	}
	tm.closeAll()
	if got := tm.bus.Stats(); got.Panicked != 1 || got.Failed != 1 || got.Processed != 2 {
		t.Errorf("counters are %+v", got)
	}
	failed := 0
	for _, s := range tm.spans.Ended() {
		if s.Status().Code != codes.Error {
			continue
		}
		failed++
		if got := attrs(s)["error.type"]; got != "panic" {
			t.Errorf("%s: error.type is %v", s.Name(), got)
		}
		if !strings.Contains(stack(s), "TestHandlerPanics") {
			t.Errorf("%s: no stack with the place of the panic", s.Name())
		}
	}
	if failed != 2 {
		t.Errorf("%d spans failed, want the agent's and the message's", failed)
	}
}

func stack(s sdktrace.ReadOnlySpan) string {
	for _, e := range s.Events() {
		for _, kv := range e.Attributes {
			if kv.Key == attribute.Key("exception.stacktrace") {
				return kv.Value.AsString()
			}
		}
	}
	return ""
}

func TestNoAgent(t *testing.T) {
	tm := newTeam(t)
	m := command(t, "nobody", nil)
	m.From = "orchestrator"
	_, err := tm.bus.Request(tm.ctx, m)
	if !errors.Is(err, mindbus.ErrUnroutable) || !strings.Contains(err.Error(), `no agent "nobody" handles commands`) {
		t.Errorf("error is %v", err)
	}
	if got := attrs(tm.span("send cmd.nobody"))["error.type"]; got != "unroutable" {
		t.Errorf("error.type is %v", got)
	}
	// An event nobody listens to is none.
	event := mindbus.Message{Type: mindbus.Event, From: "orchestrator", To: "article.done"}
	if err := tm.bus.Publish(tm.ctx, event); err != nil {
		t.Error(err)
	}
}

func TestRequestFailure(t *testing.T) {
	tm := newTeam(t)
	f := func(want string, m mindbus.Message) {
		t.Helper()
		if _, err := tm.bus.Request(tm.ctx, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	f("from_agent is empty", mindbus.Message{To: "writer"})
	f("to_agent is empty", mindbus.Message{From: "a"})
	f("only a COMMAND is answered", mindbus.Message{From: "a", To: "b", Type: mindbus.Event})
	f("payload", mindbus.Message{From: "a", To: "b", Payload: json.RawMessage("{")})
}

func TestRequestTimesOutAndAnswerIsLate(t *testing.T) {
	tm := newTeam(t)
	release := make(chan struct{})
	tm.handle("writer", func(context.Context, mindbus.Message) (any, error) { <-release; return nil, nil })
	ctx, cancel := context.WithCancelCause(tm.ctx)
	m := command(t, "writer", nil)
	m.From = "orchestrator"
	failed := make(chan error)
	go func() {
		_, err := tm.bus.Request(ctx, m)
		failed <- err
	}()
	poll(t, "the command is taken", func() bool { return tm.bus.Stats().Sent == 1 && tm.tr.Len("agent.writer") == 0 })
	gaveUp := errors.New("gave up")
	cancel(gaveUp)
	if err := <-failed; !errors.Is(err, gaveUp) {
		t.Errorf("error is %v, want the context's cause", err)
	}
	close(release)
	poll(t, "the late answer is counted", func() bool { return tm.bus.Stats().Late == 1 })
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func TestUnreadableMessages(t *testing.T) {
	tm := newTeam(t)
	tm.handle("writer", echo)
	for _, body := range []string{"", "{", `{"specversion":"1.0"}`, "\xff"} {
		p := mindbus.Publishing{Exchange: "mindbus.main", Key: "cmd.writer.writer", Body: []byte(body)}
		p.MessageID = "bad"
		if err := tm.tr.Publish(tm.ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	poll(t, "all are dead letters", func() bool { return tm.tr.Len(mindbus.DefaultDeadLetter) == 4 })
	m := command(t, "writer", 1)
	m.From = "orchestrator"
	if _, err := tm.bus.Request(tm.ctx, m); err != nil {
		t.Errorf("the next good message: %v", err)
	}
	if got := tm.bus.Stats().Invalid; got != 4 {
		t.Errorf("%d invalid messages, want 4", got)
	}
	bad := 0
	for _, s := range tm.spans.Ended() {
		if a := attrs(s); a["error.type"] == "invalid_message" && a["messaging.message.id"] == "bad" {
			bad++
		}
	}
	if bad != 4 {
		t.Errorf("%d spans show an invalid message, want 4", bad)
	}
}
