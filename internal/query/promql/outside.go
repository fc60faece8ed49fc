package promql

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// Outside asks a Prometheus-compatible server.
type Outside struct{ api v1.API }

// NewOutside returns an Outside of the server at base; a user and password in it are used.
func NewOutside(base *url.URL) (*Outside, error) {
	client, err := api.NewClient(api.Config{Address: base.String(), RoundTripper: http.DefaultTransport})
	if err != nil {
		return nil, fmt.Errorf("make client of %s: %w", base.Redacted(), err)
	}
	return &Outside{v1.NewAPI(client)}, nil
}

// Instant answers a query at one time: floats and scalars only, which is all that alert rules ask for.
func (o *Outside) Instant(ctx context.Context, query string, at time.Time) (promql.Vector, error) {
	got, _, _, err := o.api.Query(ctx, query, at)
	if err != nil {
		return nil, fmt.Errorf("ask the Prometheus outside: %w", err)
	}
	switch v := got.(type) {
	case model.Vector:
		out := make(promql.Vector, 0, len(v))
		for _, s := range v {
			b := labels.NewBuilder(labels.EmptyLabels())
			for name, value := range s.Metric {
				b.Set(string(name), string(value))
			}
			out = append(out, promql.Sample{T: int64(s.Timestamp), F: float64(s.Value), Metric: b.Labels()})
		}
		return out, nil
	case *model.Scalar:
		return promql.Vector{{T: int64(v.Timestamp), F: float64(v.Value)}}, nil
	}
	return nil, fmt.Errorf("ask the Prometheus outside: a rule's query gives a %s", got.Type())
}
