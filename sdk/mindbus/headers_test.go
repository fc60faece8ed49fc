package mindbus_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

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
