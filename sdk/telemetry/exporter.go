package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Where telemetry goes when no variable says so.
const (
	defaultGRPC = "http://localhost:4317"
	defaultHTTP = "http://localhost:4318"
)

// target is how one signal is sent.
type target struct {
	http bool
	// url is set only when no variable names an endpoint; otherwise the exporter reads the variable itself.
	url string
}

// targetOf reads the standard variables of a signal: TRACES, LOGS or METRICS. ok is false when it is switched off.
func targetOf(signal string) (t target, ok bool, err error) {
	switch exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return t, false, nil
	default:
		return t, false, fmt.Errorf("OTEL_%s_EXPORTER is %q: only otlp and none are known", signal, exporter)
	}
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch strings.ToLower(protocol) {
	case "", "grpc":
	case "http/protobuf", "http/json": // the Go exporters speak protobuf only, which every receiver takes
		t.http = true
	default:
		return t, false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: use grpc or http/protobuf", protocol)
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "" {
		return t, true, nil
	}
	t.url = defaultGRPC
	if t.http {
		t.url = defaultHTTP + "/v1/" + strings.ToLower(signal)
	}
	return t, true, nil
}

// exporters makes the OTLP exporters that c does not have yet. After an error none is left.
func (c *config) exporters(ctx context.Context) error {
	ours := c.spans == nil
	if ours {
		if err := c.traceExporter(ctx); err != nil {
			return fmt.Errorf("make trace exporter: %w", err)
		}
	}
	if c.logs != nil {
		return nil
	}
	if err := c.logExporter(ctx); err != nil {
		err = fmt.Errorf("make log exporter: %w", err)
		if ours && c.spans != nil {
			err = errors.Join(err, c.spans.Shutdown(ctx))
		}
		return err
	}
	return nil
}

func (c *config) traceExporter(ctx context.Context) error {
	t, ok, err := targetOf("TRACES")
	if err != nil || !ok {
		return err
	}
	switch {
	case t.http && t.url != "":
		c.spans, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(t.url))
	case t.http:
		c.spans, err = otlptracehttp.New(ctx)
	case t.url != "":
		c.spans, err = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(t.url))
	default:
		c.spans, err = otlptracegrpc.New(ctx)
	}
	return err
}

func (c *config) logExporter(ctx context.Context) error {
	t, ok, err := targetOf("LOGS")
	if err != nil || !ok {
		return err
	}
	switch {
	case t.http && t.url != "":
		c.logs, err = otlploghttp.New(ctx, otlploghttp.WithEndpointURL(t.url))
	case t.http:
		c.logs, err = otlploghttp.New(ctx)
	case t.url != "":
		c.logs, err = otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(t.url))
	default:
		c.logs, err = otlploggrpc.New(ctx)
	}
	return err
}

// metricExporter returns the OTLP exporter of metrics, nil when it is switched off.
func metricExporter(ctx context.Context) (sdkmetric.Exporter, error) {
	t, ok, err := targetOf("METRICS")
	if err != nil || !ok {
		return nil, err
	}
	switch {
	case t.http && t.url != "":
		return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(t.url))
	case t.http:
		return otlpmetrichttp.New(ctx)
	case t.url != "":
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(t.url))
	default:
		return otlpmetricgrpc.New(ctx)
	}
}
