// Package telemetry sets up OpenTelemetry for an agent's process: where spans, logs and metrics go, and what is added
// to them on the way. It is called once, in main:
//
//	shutdown, err := telemetry.Setup(ctx, telemetry.WithServiceName("writer"))
//	defer shutdown(context.Background())
//
// Without it all of sdk is a no-op. With it and no collector running, nothing blocks and nothing fails: what can't be
// sent is dropped and counted (WithStats).
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mindscope/mindscope/sdk/conv"
)

// shutdownLimit bounds a shutdown whose context has no deadline.
const shutdownLimit = 5 * time.Second

type config struct {
	attrs         []attribute.KeyValue
	metrics       bool
	sync          bool
	heartbeat     time.Duration
	spans         sdktrace.SpanExporter
	logs          sdklog.Exporter
	metricHandler *MetricsHandler
	onError       func(error)
	stats         *Stats
	life          *lifeline
}

// Option changes what Setup does. Options are made by the With functions.
type Option interface{ apply(config) config }

type option func(config) config

func (o option) apply(c config) config { return o(c) }

// WithServiceName names the service; OTEL_SERVICE_NAME wins over it.
func WithServiceName(name string) Option {
	return WithResource(attribute.String(conv.ServiceName, name))
}

// WithTeam names the team the process belongs to, as the resource's service.namespace.
func WithTeam(name string) Option { return WithResource(attribute.String("service.namespace", name)) }

// WithResource adds attributes to the resource; those of OTEL_RESOURCE_ATTRIBUTES win over them.
func WithResource(attrs ...attribute.KeyValue) Option {
	return option(func(c config) config {
		c.attrs = append(c.attrs, attrs...)
		return c
	})
}

// WithMetrics makes the SDK emit the team's metrics itself, over OTLP and through h (which may be nil). The resource
// then says ai_team.metrics=sdk, and a MindScope server does not derive them a second time.
func WithMetrics(h *MetricsHandler) Option {
	return option(func(c config) config {
		c.metrics, c.metricHandler = true, h
		return c
	})
}

// WithErrorHandler passes errors of the telemetry to f, for a log of one's own. They are counted in any case.
func WithErrorHandler(f func(error)) Option {
	return option(func(c config) config {
		c.onError = f
		return c
	})
}

// WithStats counts into s what is made, sent and lost.
func WithStats(s *Stats) Option {
	return option(func(c config) config {
		c.stats = s
		return c
	})
}

// WithExporters sends spans and logs to exporters of one's own instead of OTLP; nil ones are left as they are.
func WithExporters(spans sdktrace.SpanExporter, logs sdklog.Exporter) Option {
	return option(func(c config) config {
		c.spans, c.logs = spans, logs
		return c
	})
}

// WithSync exports each span and log record at once instead of in batches, for tests.
func WithSync() Option {
	return option(func(c config) config {
		c.sync = true
		return c
	})
}

// Setup installs the global providers of traces, logs and, if asked, metrics, from the standard OTEL_* variables:
// OTLP over gRPC to localhost:4317 by default, over HTTP with OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf. The returned
// function sends what is left and stops all of it, within ctx (5 s when ctx has no deadline); it may be called twice.
// With OTEL_SDK_DISABLED=true Setup does nothing.
//
// An error means that the configuration is wrong; nothing is installed then. An unreachable collector is no error.
func Setup(ctx context.Context, opts ...Option) (shutdown func(context.Context) error, err error) {
	cfg := config{heartbeat: heartbeatInterval, stats: &Stats{}, life: newLifeline()}
	for _, o := range opts {
		cfg = o.apply(cfg)
	}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return func(context.Context) error { return nil }, nil
	}
	if cfg.metrics {
		cfg.attrs = append(cfg.attrs, attribute.String(conv.AITeamMetrics, "sdk"))
	}
	res, partial := newResource(ctx, cfg.attrs)
	if partial != nil && !errors.Is(partial, resource.ErrPartialResource) {
		return nil, partial
	}
	if err := cfg.exporters(ctx); err != nil {
		return nil, err
	}
	counts := cfg.stats
	logs, out := newLogs(cfg, res)
	providers := []func(context.Context) error{logs.Shutdown}
	running := newRunning(out, res, cfg)
	spans := &spanProcessor{running: running}
	tracers := newTraces(cfg, res, spans)
	providers = append(providers, tracers.Shutdown)
	if cfg.metrics {
		m, meters, err := newMetrics(ctx, cfg, res)
		if err != nil {
			return nil, errors.Join(err, stopAll(ctx, providers))
		}
		providers = append(providers, meters.Shutdown)
		spans.metrics = m
		otel.SetMeterProvider(meters)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		counts.errors.Add(1)
		if cfg.onError != nil {
			cfg.onError(err)
		}
	}))
	if partial != nil {
		otel.Handle(partial)
	}
	otel.SetTracerProvider(tracers)
	otel.SetLoggerProvider(logs)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	return onceShutdown(running, providers, cfg.life), nil
}

// onceShutdown stops the heartbeats and then the providers, once and all at the same time: each gets the whole of the
// time. What can't be sent in it is given up, and counted.
func onceShutdown(running *running, providers []func(context.Context) error, life *lifeline) func(context.Context) error {
	var once sync.Once
	var err error
	return func(ctx context.Context) error {
		once.Do(func() {
			if _, ok := ctx.Deadline(); !ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, shutdownLimit)
				defer cancel()
			}
			running.stop()
			err = stopAll(ctx, providers)
			life.cut()
		})
		return err
	}
}

func stopAll(ctx context.Context, parts []func(context.Context) error) error {
	errs := make([]error, len(parts))
	var done sync.WaitGroup
	for i, part := range parts {
		done.Go(func() { errs[i] = part(ctx) })
	}
	done.Wait()
	return errors.Join(errs...)
}

func newResource(ctx context.Context, attrs []attribute.KeyValue) (*resource.Resource, error) {
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithProcessPID(),
		resource.WithHost(),
		resource.WithAttributes(attrs...),
		resource.WithFromEnv())
	if err != nil {
		err = fmt.Errorf("describe this process (see OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	return res, err
}

func newTraces(cfg config, res *resource.Resource, spans *spanProcessor) *sdktrace.TracerProvider {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithSpanProcessor(spans)}
	if cfg.spans == nil {
		return sdktrace.NewTracerProvider(opts...)
	}
	spans.counts = cfg.stats
	exp := &spanExporter{next: cfg.spans, counts: cfg.stats, life: cfg.life}
	if cfg.sync {
		opts = append(opts, sdktrace.WithSyncer(exp))
	} else {
		opts = append(opts, sdktrace.WithSpanProcessor(newSpanQueue(exp)))
	}
	return sdktrace.NewTracerProvider(opts...)
}

// newLogs returns the provider of logs and the processor that exports them, nil when they are not exported.
func newLogs(cfg config, res *resource.Resource) (*sdklog.LoggerProvider, sdklog.Processor) {
	if cfg.logs == nil {
		return sdklog.NewLoggerProvider(sdklog.WithResource(res)), nil
	}
	exp := &logExporter{next: cfg.logs, counts: cfg.stats, life: cfg.life}
	var out sdklog.Processor
	if cfg.sync {
		out = sdklog.NewSimpleProcessor(exp)
	} else {
		out = newLogQueue(exp)
	}
	return sdklog.NewLoggerProvider(sdklog.WithResource(res),
		sdklog.WithProcessor(identityLogs{cfg.stats}), sdklog.WithProcessor(out)), out
}
