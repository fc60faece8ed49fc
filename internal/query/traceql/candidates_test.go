package traceql

import (
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// TestSpansOfEarlierTracesCount: series count every span in the asked time, also where the spans that the query relates it
// to began before.
func TestSpansOfEarlierTracesCount(t *testing.T) {
	db := newMemory()
	r := &runner{t: t, db: db, engine: New(db, Options{})}
	written := r.run(`write
service shop
trace 1
task | 0s 90m | team=a
  step | 1s 85m | level=outer
    chat | 70m 1s | model=gpt
    chat | 71m 1s | model=gpt error=late
trace 2
task | 65m 10m | team=b
  chat | 66m 1s | model=gpt
----
`)
	if !strings.HasSuffix(written, "----\n") {
		t.Fatal(written)
	}
	at := signal.Between(base().Add(time.Hour), base().Add(2*time.Hour))
	f := func(text string, want float64) {
		t.Helper()
		got, err := r.engine.Metrics(t.Context(), p, MetricsRequest{Query: parse(t, text+" | count_over_time()"), Time: at})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		sum := 0.0
		for _, s := range got.Series {
			for _, v := range s.Samples {
				sum += v.Value
			}
		}
		if sum != want {
			t.Errorf("%s: %v spans, want %v", text, sum, want)
		}
	}
	f(`{ .model = "gpt" }`, 3)
	f(`{ .team = "a" } >> { .model = "gpt" }`, 2)
	f(`{ .team = "a" } >> { }`, 2)
	f(`{ .level = "outer" } > { name = "chat" }`, 2)
	f(`{ .level = "outer" } &> { name = "chat" }`, 2)
	f(`{ rootName = "task" && name = "chat" }`, 3)
	f(`{ rootName = "task" && rootServiceName = "shop" }`, 4)
	f(`{ .team = "a" } && { status = error }`, 1)
	f(`{ .team = "a" } || { status = error }`, 1)
	f(`{ .team = "a" } !>> { .model = "gpt" }`, 1)
	f(`({ .team = "a" } >> { .model = "gpt" }) | { status = error }`, 1)
	f(`{ name = "chat" } | { .model = "gpt" } | by(.model) | coalesce()`, 3)
	f(`{ name = "chat" } > { }`, 0)
}
