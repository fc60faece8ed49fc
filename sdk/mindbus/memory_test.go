package mindbus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

func TestMemoryCounts(t *testing.T) {
	tr := mindbus.NewMemory()
	defer tr.Close()
	ctx := t.Context()
	binding := []mindbus.Binding{{Exchange: "x", Pattern: "k"}}
	for _, q := range []mindbus.Queue{
		{Name: "dead"},
		{Name: "a", Bindings: binding, MaxLength: 2, DropOldest: true, DeadLetter: "dead"},
		{Name: "small", Bindings: []mindbus.Binding{{Exchange: "x", Pattern: "small"}}, MaxLength: 1},
	} {
		if err := tr.Declare(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	// Errors are asserted by the suite; here only what they leave in the counters matters.
	for _, key := range []string{"k", "k", "k", "small", "small", "nobody"} {
		_ = tr.Publish(ctx, mindbus.Publishing{Exchange: "x", Key: key})
	}
	c, err := tr.Consume(ctx, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-c.Deliveries()).Nack(true); err != nil {
		t.Fatal(err)
	}
	if err := (<-c.Deliveries()).Nack(false); err != nil {
		t.Fatal(err)
	}
	want := mindbus.MemoryStats{
		Published: 4, Routed: 5, Unroutable: 1, Rejected: 1, Dropped: 1, DeadLettered: 1, Redelivered: 1,
	}
	if diff := cmp.Diff(want, tr.Stats()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	if got := tr.Len("dead"); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
	if got := tr.Len("missing"); got != 0 {
		t.Errorf("a missing queue has %d messages", got)
	}
}
