package sdk

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

// LLMTransport returns a transport for calls to LLM providers: it sends the trace's id (traceparent, tracestate) and
// never baggage, which would tell the provider of tasks and users. A nil base is http.DefaultTransport.
func LLMTransport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return llmTransport{base}
}

type llmTransport struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t llmTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(WithoutBaggage(req.Context()))
	out.Header.Del("baggage")
	propagation.TraceContext{}.Inject(out.Context(), propagation.HeaderCarrier(out.Header))
	return t.base.RoundTrip(out)
}
