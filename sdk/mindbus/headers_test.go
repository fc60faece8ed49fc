package mindbus_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

func TestExtractForgetsItsSurroundings(t *testing.T) {
	b, err := baggage.Parse("ai_team.task.id=other,x=y")
	if err != nil {
		t.Fatal(err)
	}
	outer := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(baggage.ContextWithBaggage(t.Context(), b), outer)
	f := func(h mindbus.Headers) {
		t.Helper()
		got := mindbus.Extract(ctx, h)
		if sc := trace.SpanContextFromContext(got); sc.IsValid() {
			t.Errorf("%v: trace is %v, want none", h, sc.TraceID())
		}
		if got := baggage.FromContext(got); got.Len() != 0 {
			t.Errorf("%v: baggage is %v, want none", h, got)
		}
	}
	f(nil)
	f(mindbus.Headers{"traceparent": "", "baggage": ""})
	f(mindbus.Headers{"traceparent": "00-00000000000000000000000000000000-0000000000000000-00"})
	f(mindbus.Headers{"traceparent": "nonsense", "baggage": "%%%"})
}

// TestTraceParents holds the header against the cases that the W3C's test data distinguishes.
func TestTraceParents(t *testing.T) {
	const id, span = "12345678901234567890123456789012", "1234567890123456"
	f := func(header string, want bool) {
		t.Helper()
		ctx := mindbus.Extract(context.Background(), mindbus.Headers{"TraceParent": header})
		if got := trace.SpanContextFromContext(ctx).IsValid(); got != want {
			t.Errorf("%q: valid %v, want %v", header, got, want)
		}
		out := mindbus.Headers{}
		mindbus.Inject(ctx, out)
		if want && !strings.HasPrefix(out["traceparent"], "00-"+id+"-"+span) {
			t.Errorf("%q became %q", header, out["traceparent"])
		}
	}
	f("00-"+id+"-"+span+"-01", true)
	f("00-"+id+"-"+span+"-00", true)
	f("cc-"+id+"-"+span+"-01-what-the-future-brings", true)
	f("cc-"+id+"-"+span+"-01.what-the-future-brings", false)
	f("00-"+id+"-"+span+"-01-what-the-future-brings", false)
	f("00-00000000000000000000000000000000-"+span+"-01", false)
	f("00-"+id+"-0000000000000000-01", false)
	f("00-"+id+"3-"+span+"-01", false)
	f("00-"+id+"-"+span+"7-01", false)
	f("00-"+id[:31]+".-"+span+"-01", false)
	f("00-"+id+"-"+span[:15]+".-01", false)
	f("00-"+id+"-"+span+"-0.", false)
	f("00-"+id+"-"+span+"-1", false)
	f(".0-"+id+"-"+span+"-01", false)
	f("0-"+id+"-"+span+"-01", false)
	f("0000-"+id+"-"+span+"-01", false)
	f("ff-"+id+"-"+span+"-01", false)
}

// TestInjectWritesWhatOpenTelemetryWrites: the header is written here, and is the same to the letter.
func TestInjectWritesWhatOpenTelemetryWrites(t *testing.T) {
	f := func(flags trace.TraceFlags, state string) {
		t.Helper()
		ts, err := trace.ParseTraceState(state)
		if err != nil {
			t.Fatal(err)
		}
		ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{0: 0x0a, 15: 0xf1}, SpanID: trace.SpanID{0: 0xb0, 7: 0x2c}, TraceFlags: flags, TraceState: ts,
		}))
		got, want := mindbus.Headers{}, mindbus.Headers{}
		mindbus.Inject(ctx, got)
		propagation.TraceContext{}.Inject(ctx, want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("flags %x, state %q (-want +got):\n%s", flags, state, diff)
		}
	}
	f(0, "")
	f(trace.FlagsSampled, "")
	f(trace.FlagsSampled|trace.FlagsRandom, "a=1,b=2")
	f(0xff, "a=1")
}

// TestBaggageOfEachMessage: what is remembered of one message's baggage is not told of another's.
func TestBaggageOfEachMessage(t *testing.T) {
	tm := newTeam(t)
	type told struct{ Baggage, Task, TaskType string }
	got := make(chan told, 1)
	tm.handle("writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
		got <- told{baggage.FromContext(ctx).String(), sdk.TaskID(ctx), sdk.TypeOfTask(ctx)}
		return nil, nil
	}, mindbus.WithPatterns("evt.a.b"))
	f := func(header, task string, want told) {
		t.Helper()
		b, err := baggage.Parse(header)
		if err != nil {
			t.Fatal(err)
		}
		m := mindbus.Message{Type: mindbus.Event, From: "a", To: "a.b", TaskID: task}
		if err := tm.bus.Publish(baggage.ContextWithBaggage(tm.ctx, b), m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Errorf("%q, task %q (-want +got):\n%s", header, task, diff)
		}
	}
	f("x=1", "", told{Baggage: "x=1"})
	f("x=2", "", told{Baggage: "x=2"})
	f("y=2", "", told{Baggage: "y=2"})
	f("y=2;secret", "", told{Baggage: "y=2;secret"})
	f("y=2", "", told{Baggage: "y=2"})
	f("", "", told{})
	f("ai_team.task.type=article", "", told{"ai_team.task.type=article", "", "article"})
	f("", "task-1", told{"ai_team.task.id=task-1", "task-1", ""})
	f("", "task-2", told{"ai_team.task.id=task-2", "task-2", ""})
	f("", "task-1", told{"ai_team.task.id=task-1", "task-1", ""})
	// More tasks than are remembered.
	for i := range 200 {
		id := "many-" + strconv.Itoa(i)
		f("", id, told{"ai_team.task.id=" + id, id, ""})
	}
}

// TestForeignHeaders: whatever the case of the headers, and whatever the worker's own context knows, the task is the
// message's.
func TestForeignHeaders(t *testing.T) {
	tm := newTeam(t)
	type key struct{}
	own, task := sdk.StartTask(context.WithValue(tm.ctx, key{}, "the worker's"), "other")
	defer task.End(nil)
	got := make(chan string, 1)
	err := tm.bus.Handle(own, "writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
		value, _ := ctx.Value(key{}).(string)
		got <- strings.Join([]string{
			trace.SpanContextFromContext(ctx).TraceID().String(), baggage.FromContext(ctx).String(), sdk.TaskID(ctx), value,
		}, " ")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := func(h mindbus.Headers, want string) {
		t.Helper()
		body, err := mindbus.Encode(mindbus.Message{ID: "1", Type: mindbus.Event, From: "tool", To: "a.b"})
		if err != nil {
			t.Fatal(err)
		}
		p := mindbus.Publishing{Exchange: "mindbus.main", Key: "cmd.writer.writer", Body: body}
		p.Headers = h
		if err := tm.tr.Publish(tm.ctx, p); err != nil {
			t.Fatal(err)
		}
		if got := <-got; !strings.HasSuffix(got, want) {
			t.Errorf("%v: the handler's context has %q, want %q", h, got, want)
		}
	}
	const id = "0af7651916cd43dd8448eb211c80319c"
	const parent = "00-" + id + "-b7ad6b7169203331-01"
	f(nil, "   the worker's")
	f(mindbus.Headers{"traceparent": parent, "baggage": "x=1"}, id+" x=1  the worker's")
	f(mindbus.Headers{"TraceParent": parent, "Baggage": "x=1", "other": ""}, id+" x=1  the worker's")
	f(mindbus.Headers{"baggage": "ai_team.task.id=t"}, " ai_team.task.id=t t the worker's")
}
