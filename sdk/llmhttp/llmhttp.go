package llmhttp

import (
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/mindscope/mindscope/sdk"
)

// Option changes how calls are reported.
type Option interface{ apply(*config) }

type config struct {
	provider   string
	maxContent int
}

type option func(*config)

func (f option) apply(c *config) { f(c) }

// WithProvider names the provider, one of OpenTelemetry's names where it has one. Without it the name is made of the
// request's host, and where that says nothing of the wire format.
func WithProvider(name string) Option { return option(func(c *config) { c.provider = name }) }

// WithMaxContent bounds what is kept of one call's messages, in bytes, for questions and answers each. What is beyond is
// cut. The default is DefaultMaxContent.
func WithMaxContent(n int) Option { return option(func(c *config) { c.maxContent = n }) }

// DefaultMaxContent is how many bytes of a call's questions, and of its answers, are kept when capture is on.
const DefaultMaxContent = 1 << 20

// Transport returns a transport that reports calls of models and hands them to base; nil is http.DefaultTransport.
// Requests that are no calls of models pass unreported, without baggage.
func Transport(base http.RoundTripper, opts ...Option) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base, newWatch(opts)}
}

// Client returns a client with Transport over base, nil for http.DefaultTransport. It has no timeout: an answer of a
// model may take minutes, and the context of each call says how long it may.
func Client(base http.RoundTripper, opts ...Option) *http.Client {
	return &http.Client{Transport: Transport(base, opts...)}
}

// Middleware returns Transport in the form that the clients of OpenAI and Anthropic take as an option. They call it for
// each attempt.
func Middleware(opts ...Option) func(*http.Request, func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return newWatch(opts).around
}

type transport struct {
	base  http.RoundTripper
	watch *watch
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.watch.around(req, t.base.RoundTrip)
}

// watch reports the calls of one client.
type watch struct {
	cfg      config
	attempts attempts
}

func newWatch(opts []Option) *watch {
	w := &watch{cfg: config{maxContent: DefaultMaxContent}}
	for _, o := range opts {
		o.apply(&w.cfg)
	}
	return w
}

// around makes the call by next and reports it. What next returns is returned, with a body that tells what is read of it.
func (w *watch) around(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	ctx := req.Context()
	var x *exchange
	if !sdk.InLLM(ctx) {
		guard(func() { ctx, x = w.begin(req) })
	}
	out := req.Clone(sdk.WithoutBaggage(ctx))
	out.Header.Del("baggage")
	propagation.TraceContext{}.Inject(out.Context(), propagation.HeaderCarrier(out.Header))
	if x == nil {
		return next(out)
	}
	x.watchRequest(out)
	resp, err := next(out)
	x.answered(resp, err)
	return resp, err
}

// guard keeps a mistake of ours away from the call that is watched. It tells whether f came to its end.
func guard(f func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			otel.Handle(fmt.Errorf("read the call of a model: panic: %v", p))
		}
	}()
	f()
	return true
}
