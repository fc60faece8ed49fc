package app

import (
	"encoding/binary"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// TestEmbeddingsSumExactlyThroughTheStore prices a hundred thousand calls of 12 tokens, each of 0.24 micro-dollars, and sums them
// up with the store's aggregate and with the report. A million gives the same and takes a minute.
func TestEmbeddingsSumExactlyThroughTheStore(t *testing.T) {
	const calls, batch = 100_000, 20_000
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Retention: 30 * 24 * time.Hour, PayloadRetention: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	o, err := cost.ParseOverrides([]byte("prices: [{model: small, input: 0.02}]"))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := cost.New(store.NewSink(db, nil), cost.Config{Overrides: o})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Add(-time.Hour)
	for n := 0; n < calls; n += batch {
		if _, err := sink.Traces(t.Context(), signal.DefaultProject, embeddings(n, batch, start)); err != nil {
			t.Fatal(err)
		}
	}
	db.Flush()
	events := overlay.New(db, nil)
	groups, err := events.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()},
		Columns: []store.Column{
			{Func: store.CountRows}, {Func: store.Sum, Field: store.FieldCostMicro}, {Func: store.Sum, Field: store.FieldCostRest},
		},
	})
	if err != nil || len(groups) != 1 {
		t.Fatal(groups, err)
	}
	v := groups[0].Values
	if got := team.PicoUSD(int64(v[1])*1_000_000 + int64(v[2])); v[0] != calls || got.String() != "0.024" {
		t.Errorf("%v calls cost %s $ by the store's sums, want 0.024", v[0], got)
	}
	costs := team.NewCosts(events, team.CostOptions{Prices: func() team.Prices { return priceBook{sink.Book()} }, Writer: db, Changed: events.Changed})
	lines, err := costs.Report(t.Context(), signal.DefaultProject, team.CostQuery{By: []string{"model"}})
	if err != nil || len(lines) != 1 || lines[0].Calls != calls || lines[0].Cost.String() != "0.024" || lines[0].Tokens.Input != 12*calls {
		t.Errorf("the report says %+v %v, want 0.024", lines, err)
	}
}

// embeddings makes n calls from a number on, a hundred a trace.
func embeddings(from, n int, start time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	spans.EnsureCapacity(n)
	for i := from; i < from+n; i++ {
		s := spans.AppendEmpty()
		var trace [16]byte
		var span [8]byte
		binary.BigEndian.PutUint64(trace[8:], uint64(i/100+1))
		binary.BigEndian.PutUint64(span[:], uint64(i+1))
		s.SetTraceID(trace)
		s.SetSpanID(span)
		at := pcommon.NewTimestampFromTime(start.Add(time.Duration(i) * time.Microsecond))
		s.SetStartTimestamp(at)
		s.SetEndTimestamp(at)
		s.Attributes().PutStr(conv.MindscopeOperation, "embeddings")
		s.Attributes().PutStr(conv.MindscopeModel, "small")
		s.Attributes().PutInt(conv.MindscopeTokensInput, 12)
	}
	return td
}
