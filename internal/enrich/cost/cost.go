// Package cost prices calls of models. It is a Sink around the next Sink and stands behind enrich/dialect, whose columns
// it reads: provider, model and the disjoint buckets of tokens. It writes the cost as two integers, whole micro-dollars and
// the pico-dollars that are left, with the version of the prices.
//
// A cost that the sender reported stays. A model that the book does not know and a call without tokens get no cost and
// are counted as misses: unknown is not 0. Which spans count in a sum is the reader's business (the leaf rule).
package cost

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// Config says where prices come from beside the embedded table.
type Config struct {
	// Overrides go before the table; nil is none.
	Overrides *Overrides
}

// Sink prices spans on the way to the next Sink.
type Sink struct {
	next   signal.Sink
	book   atomic.Pointer[Book]
	priced atomic.Int64
	missed atomic.Int64

	mu     sync.Mutex
	misses map[string]int64
}

// maxMissed bounds the models whose misses are counted by name; the rest is counted as other.
const maxMissed = 1000

// maxTokens bounds the tokens of one bucket of one call; more is a sender's mistake.
const maxTokens = 1_000_000_000_000

// otherModels counts the misses of models that are too many.
const otherModels = "other"

// SourcePrices and SourceProvider say who computed a cost: the book, or the sender.
const (
	SourcePrices   = "prices"
	SourceProvider = "provider"
)

// New returns a Sink in front of next.
func New(next signal.Sink, cfg Config) (*Sink, error) {
	s := &Sink{next: next, misses: map[string]int64{}}
	return s, s.Reload(cfg.Overrides)
}

// Reload puts other overrides in front of the table, from the next request on. After an error the old prices stay.
func (s *Sink) Reload(o *Overrides) error {
	b, err := NewBook(o)
	if err != nil {
		return err
	}
	s.book.Store(b)
	return nil
}

// Book returns the prices in use.
func (s *Sink) Book() *Book { return s.book.Load() }

// Priced returns how many spans got a cost from the book.
func (s *Sink) Priced() int64 { return s.priced.Load() }

// Misses returns how many calls of each model got no cost.
func (s *Sink) Misses() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]int64, len(s.misses))
	maps.Copy(m, s.misses)
	return m
}

// Missed returns how many calls got no cost.
func (s *Sink) Missed() int64 { return s.missed.Load() }

// Traces prices each span that has tokens.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	book := s.book.Load()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.price(book, span.Attributes(), span.StartTimestamp().AsTime())
			}
		}
	}
	return s.next.Traces(ctx, p, td)
}

// Logs passes ld on: records of calls keep the cost that their sender reported, the money is on the spans.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	return s.next.Logs(ctx, p, ld)
}

// Metrics passes md on.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.next.Metrics(ctx, p, md)
}

// call is what the dialect found out about a span.
type call struct {
	provider, model, request, operation string

	usage    Usage
	hasUsage bool
	// plausible: no count is negative or beyond all reason, so that no sum of them overflows.
	plausible bool
	reported  bool
}

func (s *Sink) price(book *Book, attrs pcommon.Map, at time.Time) {
	c := read(attrs)
	if c.reported || c.operation == "" {
		return
	}
	if !c.hasUsage || !c.plausible {
		if inference(c.operation) {
			s.miss(c.model)
		}
		return
	}
	q, ok := book.Price(c.provider, c.model, at, c.usage)
	if !ok && c.request != "" && c.request != c.model {
		q, ok = book.Price(c.provider, c.request, at, c.usage)
	}
	if !ok {
		if inference(c.operation) {
			s.miss(c.model)
		}
		return
	}
	micro, rest := q.Total().Micro()
	attrs.EnsureCapacity(attrs.Len() + 5)
	attrs.PutInt(conv.MindscopeCostMicroUSD, micro)
	attrs.PutInt(conv.MindscopeCostRestPicoUSD, rest)
	attrs.PutStr(conv.MindscopeCostSource, SourcePrices)
	attrs.PutStr(conv.MindscopePriceVersion, book.version)
	var buf [192]byte
	attrs.PutStr(conv.MindscopeCostParts, string(q.appendJSON(buf[:0])))
	s.priced.Add(1)
}

func inference(operation string) bool {
	switch operation {
	case "chat", "generate_content", "text_completion", "embeddings":
		return true
	}
	return false
}

func read(attrs pcommon.Map) call {
	c := call{plausible: true}
	var input, cacheRead, write5m, write1h, output, reasoning int64
	count := func(v pcommon.Value) int64 {
		n := v.Int()
		c.plausible = c.plausible && n >= 0 && n <= maxTokens
		return n
	}
	for k, v := range attrs.All() {
		if !strings.HasPrefix(k, "mindscope.") && k != conv.GenAIRequestModel {
			continue
		}
		switch k {
		case conv.MindscopeOperation:
			c.operation = v.Str()
		case conv.MindscopeProvider:
			c.provider = v.Str()
		case conv.MindscopeModel:
			c.model = v.Str()
		case conv.GenAIRequestModel:
			c.request = v.AsString()
		case conv.MindscopeCostMicroUSD:
			c.reported = true
		case conv.MindscopeTokensInput:
			input, c.hasUsage = count(v), true
		case conv.MindscopeTokensOutput:
			output, c.hasUsage = count(v), true
		case conv.MindscopeTokensCacheRead:
			cacheRead = count(v)
		case conv.MindscopeTokensCacheWrite5m:
			write5m = count(v)
		case conv.MindscopeTokensCacheWrite1h:
			write1h = count(v)
		case conv.MindscopeTokensReasoning:
			reasoning = count(v)
		}
	}
	c.usage = Usage{
		Input: input + cacheRead + write5m + write1h, CacheRead: cacheRead, CacheWrite: write5m + write1h, CacheWrite1h: write1h,
		Output: output + reasoning, Reasoning: reasoning,
	}
	return c
}

func (s *Sink) miss(model string) {
	s.missed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.misses[model]; !known && len(s.misses) >= maxMissed {
		model = otherModels
	}
	s.misses[model]++
}
