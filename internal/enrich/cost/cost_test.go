package cost

import (
	"context"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

type nowhere struct{}

func (nowhere) Traces(context.Context, signal.Project, ptrace.Traces) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Logs(context.Context, signal.Project, plog.Logs) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func mustBook(t testing.TB, overrides string) *Book {
	t.Helper()
	var o *Overrides
	if overrides != "" {
		var err error
		if o, err = ParseOverrides([]byte(overrides)); err != nil {
			t.Fatal(err)
		}
	}
	table, err := os.ReadFile(filepath.Join("testdata", "table.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBook(table, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEmbedded looks at the table that is shipped, whatever prices the last refresh brought.
func TestEmbedded(t *testing.T) {
	b, err := NewBook(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "mistral-small-latest", "deepseek-chat"} {
		q, ok := b.Price("", model, time.Now(), Usage{Input: 1_000_000, Output: 1_000_000})
		if !ok || q.Total() < 1e10 || q.Total() > 1e14 {
			t.Errorf("%s: %v %v", model, q.Total(), ok)
		}
	}
}

func TestLookAhead(t *testing.T) {
	f := func(expr, name string, want bool) {
		t.Helper()
		m, err := newPattern(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.match(name); got != want {
			t.Errorf("%s on %s: %v", expr, name, got)
		}
	}
	f(`^(?!.*-tts(?:$|-))`, "gemini-2.5-flash", true)
	f(`^(?!.*-tts(?:$|-))`, "gemini-2.5-flash-tts", false)
	f(`^(?![^/]+/)(?:labs-)?mistral`, "labs-mistral-x", true)
	f(`^(?![^/]+/)(?:labs-)?mistral`, "vendor/mistral", false)
	f(`^(?![)]\))a`, "a", true)
	if _, err := newPattern(`^(?!a`); err == nil {
		t.Error("an unclosed look-ahead was taken")
	}
}

func day(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return t
}

func TestPrice(t *testing.T) {
	b := mustBook(t, "")
	f := func(provider, model, at string, u Usage, want string) {
		t.Helper()
		q, ok := b.Price(provider, model, day(at), u)
		got := "none"
		if ok {
			got = q.Total().String()
		}
		if got != want {
			t.Errorf("%s %s: %s, want %s", provider, model, got, want)
		}
	}
	const now = "2026-11-24T12:00:00Z"
	million := Usage{Input: 1_000_000, Output: 1_000_000}
	f("openai", "gpt-4o-2024-08-06", now, million, "12.5")
	f("openai", "gpt-4o", now, Usage{Input: 1000, CacheRead: 600, Output: 100}, "0.00275")
	// One-hour cache writes cost twice the input, five-minute ones 1.25 times.
	f("anthropic", "claude-sonnet-4-5-20250929", now, Usage{Input: 1000, CacheWrite: 1000}, "0.00375")
	f("anthropic", "claude-sonnet-4-5-20250929", now, Usage{Input: 1000, CacheWrite: 1000, CacheWrite1h: 1000}, "0.006")
	// Above 200 000 input tokens all tokens cost the long context's price.
	f("anthropic", "claude-sonnet-4-5", now, Usage{Input: 200_000, Output: 1000}, "0.615")
	f("anthropic", "claude-sonnet-4-5", now, Usage{Input: 200_001, Output: 1000}, "1.222506")
	// By the date and by the hour of the call.
	f("openrouter", "anthropic/claude-sonnet-5", "2026-08-31T23:59:59Z", million, "12")
	f("openrouter", "anthropic/claude-sonnet-5", "2026-09-01T00:00:00Z", million, "18")
	f("deepseek", "deepseek-chat", "2026-11-24T00:00:00Z", million, "0.685")
	f("deepseek", "deepseek-chat", "2026-11-24T00:30:00Z", million, "1.37")
	// Names of clouds, gateways and frameworks.
	f("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", now, million, "19.8")
	f("", "mistral/mistral-small-latest", now, Usage{Input: 1000}, "0.0001")
	f("gcp.vertex_ai", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", now, million, "2.8")
	f("azure.ai.openai", "gpt-4o", now, million, "12.5")
	f("litellm", "claude-sonnet-4-5", now, Usage{Input: 1000}, "0.003")
	// The unknown has no price.
	f("openai", "my-own-model", now, million, "none")
	f("", "", now, million, "none")
	f("ollama", "qwen3.6:latest", now, million, "none")
}

// TestEmbeddingsSumExactly prices a million calls of 12 tokens and adds them up as the store does.
func TestEmbeddingsSumExactly(t *testing.T) {
	b := mustBook(t, "")
	var micro, rest float64
	for range 1_000_000 {
		q, ok := b.Price("openai", "text-embedding-3-small", day("2026-11-24T12:00:00Z"), Usage{Input: 12})
		if !ok {
			t.Fatal("no price")
		}
		m, r := q.Total().Micro()
		micro, rest = micro+float64(m), rest+float64(r)
	}
	if got := Pico(int64(micro)*1_000_000 + int64(rest)); got.String() != "0.24" {
		t.Errorf("a million embeddings of 12 tokens cost %s $, want 0.24", got)
	}
}

func TestOverrides(t *testing.T) {
	b := mustBook(t, `
currencies:
  RUB:
    - {from: 2026-01-01, usd: 0.0125}
    - {from: 2026-07-01, usd: 0.01}
prices:
  - {provider: gigachat, model: GigaChat-2-Max, currency: RUB, per: 1000, input: 0.65, output: 0.65}
  - {model: gpt-4o, match: starts_with, from: 2026-10-01, to: 2026-11-01, input: 1, output: 2}
`)
	f := func(provider, model, at, want string) {
		t.Helper()
		q, ok := b.Price(provider, model, day(at), Usage{Input: 1000, Output: 1000})
		got := "none"
		if ok {
			got = q.Total().String()
		}
		if got != want {
			t.Errorf("%s at %s: %s, want %s", model, at, got, want)
		}
	}
	f("gigachat", "GigaChat-2-Max", "2026-03-01T00:00:00Z", "0.01625")
	f("gigachat", "GigaChat-2-Max", "2026-08-01T00:00:00Z", "0.013")
	f("gigachat", "GigaChat-2-Max", "2025-08-01T00:00:00Z", "none")
	f("openai", "gpt-4o-2024-08-06", "2026-10-15T00:00:00Z", "0.003")
	f("openai", "gpt-4o-2024-08-06", "2026-11-01T00:00:00Z", "0.0125")
	if mustBook(t, "").Version() == b.Version() {
		t.Error("overrides change the version")
	}
}

// TestExample checks that the file in the guides is read as it stands.
func TestExample(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "examples", "prices.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	q, ok := mustBook(t, string(raw)).Price("gigachat", "GigaChat-2-Pro", day("2026-03-01T00:00:00Z"), Usage{Input: 1000})
	if !ok || q.Total().String() != "0.00625" {
		t.Errorf("GigaChat-2-Pro: %v %v", q.Total(), ok)
	}
	q, ok = mustBook(t, string(raw)).Price("openai", "gpt://b1g2/yandexgpt-lite/latest", day("2026-03-01T00:00:00Z"), Usage{Input: 1000, Output: 1000})
	if !ok || q.Total().String() != "0.005" {
		t.Errorf("yandexgpt-lite: %v %v", q.Total(), ok)
	}
}

func TestOverridesThatAreWrong(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseOverrides([]byte(text))
		if err == nil {
			t.Fatalf("%q was taken", text)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %q in it", text, err, w)
			}
		}
	}
	f("price: []", "line 1", "price")
	f("[]", "line 1", "mapping")
	f("prices: [", "line 1")
	f("prices:\n  - {model: m, inptu: 1}", "line 2", "prices[0].inptu")
	f("prices:\n  - model: m\n    input: 1\n    input: 2", "line 4", "prices[0].input", "twice")
	f("prices:\n  - model: m\n    input: 1/3", "line 3", "prices[0].input")
	f("prices:\n  - model: m\n    input: 1e400", "line 3", "prices[0].input")
	f("prices:\n  - {model: m, input: 1, per: 0}", "prices[0].per")
	f("prices:\n  - {model: m, input: 1, from: 2026-02-01, to: 2026-01-01}", "prices[0].to")
	f("currencies:\n  RUB:\n    - {from: 2026-01-01, ud: 1}", "line 3", "currencies.RUB[0].ud")
	f("currencies:\n  RUB:\n    - {from: 2026-01-01, usd: -1}", "line 3", "usd")
	f("currencies:\n  RUB:\n    - {from: 2026-02-01, usd: 1}\n    - {from: 2026-01-01, usd: 1}", "line 4", "RUB[1]")
	f("prices:\n  - {model: m, input: -1}\n  - {model: n}", "line 2", "input", "line 3")
	f("prices:\n  - {model: m, input: cheap}", "line 2", "input", "cheap")
	f("prices:\n  - {model: m, input: 1, currency: EUR}", "line 2", "EUR")
	f("prices:\n  - {model: '(', match: regex, input: 1}", "line 2", "match")
	f("prices:\n  - {model: m, input: 1, from: tomorrow}", "tomorrow")
	f("prices:\n  - {input: 1}", "model")
}

func span(t *testing.T, attrs map[string]any) ptrace.Traces {
	t.Helper()
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(day("2026-11-24T12:00:00Z")))
	if err := s.Attributes().FromRaw(attrs); err != nil {
		t.Fatal(err)
	}
	return td
}

func TestTraces(t *testing.T) {
	s, err := New(nowhere{}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := func(attrs, want map[string]any) {
		t.Helper()
		td := span(t, attrs)
		if _, err := s.Traces(t.Context(), signal.DefaultProject, td); err != nil {
			t.Fatal(err)
		}
		got := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
		for k := range attrs {
			delete(got, k)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	chat := func(more map[string]any) map[string]any {
		m := map[string]any{conv.MindscopeOperation: "chat", conv.MindscopeProvider: "openai", conv.MindscopeModel: "gpt-4o"}
		maps.Copy(m, more)
		return m
	}
	f(chat(map[string]any{conv.MindscopeTokensInput: int64(400), conv.MindscopeTokensCacheRead: int64(600), conv.MindscopeTokensOutput: int64(101)}),
		map[string]any{
			conv.MindscopeCostMicroUSD: int64(2760), conv.MindscopeCostRestPicoUSD: int64(0),
			conv.MindscopeCostParts:  `{"input":1000000000,"cache_read":750000000,"output":1010000000}`,
			conv.MindscopeCostSource: "prices", conv.MindscopePriceVersion: s.Book().Version(),
		})
	// The response's model is not in the book, the request's is.
	f(chat(map[string]any{conv.MindscopeModel: "fp_1234", conv.GenAIRequestModel: "gpt-4o", conv.MindscopeTokensInput: int64(1)}),
		map[string]any{
			conv.MindscopeCostMicroUSD: int64(2), conv.MindscopeCostRestPicoUSD: int64(500_000),
			conv.MindscopeCostParts:  `{"input":2500000}`,
			conv.MindscopeCostSource: "prices", conv.MindscopePriceVersion: s.Book().Version(),
		})
	// The sender's own cost stays.
	f(chat(map[string]any{conv.MindscopeTokensInput: int64(1), conv.MindscopeCostMicroUSD: int64(7)}), map[string]any{})
	f(chat(nil), map[string]any{})
	f(chat(map[string]any{conv.MindscopeModel: "mine", conv.MindscopeTokensInput: int64(1)}), map[string]any{})
	f(map[string]any{"http.method": "GET"}, map[string]any{})
	// What the provider refused costs nothing; what failed in another way may have been charged.
	free := map[string]any{conv.MindscopeCostMicroUSD: int64(0), conv.MindscopeCostRestPicoUSD: int64(0), conv.MindscopeCostSource: "refused"}
	f(chat(map[string]any{conv.HTTPResponseStatusCode: int64(429), conv.ErrorType: "rate_limit_exceeded"}), free)
	f(chat(map[string]any{conv.ErrorType: "503"}), free)
	f(chat(map[string]any{conv.HTTPResponseStatusCode: "404"}), free)
	f(map[string]any{conv.MindscopeOperation: "invoke_agent", conv.ErrorType: "503"}, map[string]any{})
	for _, failed := range []map[string]any{
		{conv.HTTPResponseStatusCode: int64(200), conv.ErrorType: "timeout"},
		{conv.ErrorType: "999"},
		{conv.ErrorType: "4xx"},
		{conv.HTTPResponseStatusCode: 429.0},
	} {
		failed[conv.MindscopeModel] = "broke off"
		f(chat(failed), map[string]any{})
	}
	// Counts that can't be true have no price, whatever they would add up to.
	f(chat(map[string]any{conv.MindscopeTokensInput: int64(math.MaxInt64), conv.MindscopeTokensCacheRead: int64(1)}), map[string]any{})
	f(chat(map[string]any{conv.MindscopeTokensInput: int64(-5), conv.MindscopeTokensOutput: int64(10)}), map[string]any{})
	if diff := cmp.Diff(map[string]int64{"gpt-4o": 3, "mine": 1, "broke off": 4}, s.Misses()); diff != "" {
		t.Errorf("misses: %s", diff)
	}
}

// TestParts wants parts that add up to the total whatever the rounding.
func TestParts(t *testing.T) {
	b := mustBook(t, "prices: [{model: odd, per: 3, input: 0.00000000001, cache_read: 0.00000000002, cache_write_5m: 0.00000000001, cache_write_1h: 0.00000000004, output: 0.00000000005, request: 0.5}]")
	q, ok := b.Price("", "odd", day("2026-11-24T12:00:00Z"), Usage{Input: 40, CacheRead: 10, CacheWrite: 20, CacheWrite1h: 9, Output: 7, Reasoning: 5})
	// 10 uncached, 10 read, 11 and 9 written: 100/3 + 200/3 + 110/3 + 360/3 = 256.67; output 350/3 = 116.67; all in pico.
	if want := Pico(257 + 117 + 500_000_000_000); !ok || q.Total() != want || !q.Own {
		t.Errorf("%+v: total %d, want %d", q, q.Total(), want)
	}
	want := `{"input":34,"cache_read":67,"cache_write_5m":36,"cache_write_1h":120,"output":34,"reasoning":83,"request":500000000000}`
	if got := string(q.appendJSON(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseOverrides(f *testing.F) {
	f.Add([]byte("currencies:\n  RUB: [{from: 2026-01-01, usd: 0.0125}]\nprices: [{model: m, currency: RUB, per: 1000, input: 0.65}]"))
	f.Add([]byte("prices:\n  - {model: '(', match: regex, input: 1}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := ParseOverrides(raw)
		if err != nil {
			return
		}
		for _, e := range o.list {
			if parts, ok := e.prices.cost(Usage{Input: 1e9, Output: 1e9}); ok && parts.Total() < 0 {
				t.Errorf("%q: a call earns money: %v", raw, parts.Total())
			}
		}
	})
}

func TestMoneyText(t *testing.T) {
	f := func(p Pico, want string) {
		t.Helper()
		if got := p.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(p), got, want)
		}
	}
	f(0, "0")
	f(1, "0.000000000001")
	f(1_500_000_000_000, "1.5")
	f(-2_000_000_000_000, "-2")
}
