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
	"strconv"
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

// maxModelName is the longest name that a miss is counted by. Longer ones are no names of models.
const maxModelName = 200

// otherModels counts the misses of models that are too many.
const otherModels = "other"

// SourcePrices and SourceProvider say who computed a cost: the book, or the sender. SourceRefused says that the provider refused
// the call, which costs nothing.
const (
	SourcePrices   = "prices"
	SourceProvider = "provider"
	SourceRefused  = "refused"
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

// Call is what is known of a call of a model. Its buckets of tokens are disjoint.
type Call struct {
	Provider, Model string
	// RequestModel is what was asked for; it is priced when the book does not know Model.
	RequestModel string
	At           time.Time

	Input, CacheRead, CacheWrite5m, CacheWrite1h int64
	Output, Reasoning                            int64
}

// usage adds the buckets up as the book wants them. It returns false when a count is negative or beyond all reason, so
// that no sum overflows.
func (c *Call) usage() (Usage, bool) {
	for _, n := range [...]int64{c.Input, c.CacheRead, c.CacheWrite5m, c.CacheWrite1h, c.Output, c.Reasoning} {
		if n < 0 || n > maxTokens {
			return Usage{}, false
		}
	}
	return Usage{
		Input: c.Input + c.CacheRead + c.CacheWrite5m + c.CacheWrite1h, CacheRead: c.CacheRead,
		CacheWrite: c.CacheWrite5m + c.CacheWrite1h, CacheWrite1h: c.CacheWrite1h,
		Output: c.Output + c.Reasoning, Reasoning: c.Reasoning,
	}, true
}

// PriceCall prices a call by its model, else by the model that was asked for.
func (b *Book) PriceCall(c Call) (Quote, bool) { return b.priceCall(&c, b.Price) }

// TableCall is PriceCall without the overrides.
func (b *Book) TableCall(c Call) (Quote, bool) { return b.priceCall(&c, b.TablePrice) }

func (b *Book) priceCall(c *Call, price func(provider, model string, at time.Time, u Usage) (Quote, bool)) (Quote, bool) {
	u, ok := c.usage()
	if !ok {
		return Quote{}, false
	}
	q, ok := price(c.Provider, c.Model, c.At, u)
	if !ok && c.RequestModel != "" && c.RequestModel != c.Model {
		q, ok = price(c.Provider, c.RequestModel, c.At, u)
	}
	return q, ok
}

// found is what the dialect found out about a span.
type found struct {
	Call
	operation string
	hasUsage  bool
	reported  bool
	// refused says that the provider answered with an error's status: nothing was generated, and nothing is charged.
	refused bool
}

func (s *Sink) price(book *Book, attrs pcommon.Map, at time.Time) {
	c := read(attrs)
	if c.reported || c.operation == "" {
		return
	}
	c.At = at
	var q Quote
	ok := c.hasUsage
	if ok {
		q, ok = book.PriceCall(c.Call)
	}
	switch {
	case ok:
	case !inference(c.operation):
		return
	case c.refused && !c.hasUsage:
		attrs.PutInt(conv.MindscopeCostMicroUSD, 0)
		attrs.PutInt(conv.MindscopeCostRestPicoUSD, 0)
		attrs.PutStr(conv.MindscopeCostSource, SourceRefused)
		return
	default:
		s.miss(c.Model)
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

func read(attrs pcommon.Map) found {
	var c found
	for k, v := range attrs.All() {
		switch {
		case strings.HasPrefix(k, "mindscope."), k == conv.GenAIRequestModel:
		case k == conv.HTTPResponseStatusCode, k == conv.ErrorType:
			c.refused = c.refused || isRefusal(v)
			continue
		default:
			continue
		}
		switch k {
		case conv.MindscopeOperation:
			c.operation = v.Str()
		case conv.MindscopeProvider:
			c.Provider = v.Str()
		case conv.MindscopeModel:
			c.Model = v.Str()
		case conv.GenAIRequestModel:
			c.RequestModel = v.AsString()
		case conv.MindscopeCostMicroUSD:
			c.reported = true
		case conv.MindscopeTokensInput:
			c.Input, c.hasUsage = v.Int(), true
		case conv.MindscopeTokensOutput:
			c.Output, c.hasUsage = v.Int(), true
		case conv.MindscopeTokensCacheRead:
			c.CacheRead = v.Int()
		case conv.MindscopeTokensCacheWrite5m:
			c.CacheWrite5m = v.Int()
		case conv.MindscopeTokensCacheWrite1h:
			c.CacheWrite1h = v.Int()
		case conv.MindscopeTokensReasoning:
			c.Reasoning = v.Int()
		}
	}
	return c
}

// isRefusal tells whether the value of http.response.status_code or error.type is a status of HTTP that stands for an error. Most
// other types of errors say nothing of the sort: a time-out may well be charged.
func isRefusal(v pcommon.Value) bool {
	status := int64(0)
	switch v.Type() { //nolint:exhaustive // others are no status
	case pcommon.ValueTypeInt:
		status = v.Int()
	case pcommon.ValueTypeStr:
		if len(v.Str()) == len("429") {
			status, _ = strconv.ParseInt(v.Str(), 10, 64)
		}
	}
	return status >= 400 && status <= 599
}

func (s *Sink) miss(model string) {
	s.missed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.misses[model]; !known && (len(s.misses) >= maxMissed || len(model) > maxModelName) {
		model = otherModels
	}
	s.misses[model]++
}
