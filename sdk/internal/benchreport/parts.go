package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/telemetry"
)

// perRound is how often a part is done before its queues are emptied: fewer than a queue holds, so that none overflows.
const perRound = 1500

// noSpans and noLogs take everything and keep nothing.
type noSpans struct{}

func (noSpans) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (noSpans) Shutdown(context.Context) error                             { return nil }

type noLogs struct{}

func (noLogs) Export(context.Context, []sdklog.Record) error { return nil }
func (noLogs) Shutdown(context.Context) error                { return nil }
func (noLogs) ForceFlush(context.Context) error              { return nil }

func measureAll(rounds int, only string) (map[string]any, error) {
	figures := map[string]any{"machine": machine()}
	ctx := context.Background()
	// Before Setup: nobody has installed a provider in this process.
	inTask, ended := sdk.StartTask(ctx, "task-456", sdk.TaskType("article"))
	defer ended.End(nil)
	inAgent, agentEnded := sdk.StartAgent(inTask, "writer")
	defer agentEnded.End(nil)
	off := filter([]part{
		{"off_raw_task", func(n int) error { return repeat(n, rawTask(otel.Tracer(sdk.ScopeName), ctx)) }},
		{"off_task", func(n int) error { return repeat(n, task(ctx)) }},
		{"off_raw_llm", func(n int) error { return repeat(n, rawLLM(otel.Tracer(sdk.ScopeName), ctx)) }},
		{"off_llm", func(n int) error { return repeat(n, llm(inAgent)) }},
	}, only)
	// A call that does nothing is so short that more of them are needed.
	all, err := measure(off, rounds, 20*perRound)
	if err != nil {
		return nil, err
	}
	bus, closeBus, err := openBus()
	if err != nil {
		return nil, err
	}
	busOff, err := measure(filter([]part{{"off_message", bus(ctx)}}, only), rounds/2+2, perRound/4)
	if err != nil {
		return nil, err
	}
	if err := closeBus(ctx); err != nil {
		return nil, fmt.Errorf("close bus: %w", err)
	}
	merge(figures, all)
	merge(figures, busOff)
	ratios(figures, "off_task", "off_raw_task", all)
	ratios(figures, "off_llm", "off_raw_llm", all)
	for _, setup := range []struct {
		prefix string
		opts   []telemetry.Option
	}{
		{"", nil},
		{"metrics_", []telemetry.Option{telemetry.WithMetrics(&telemetry.MetricsHandler{})}},
	} {
		if err := measureOn(figures, busOff["off_message"], rounds, only, setup.prefix, setup.opts); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// measureOn measures with telemetry set up.
func measureOn(figures map[string]any, busOff *costs, rounds int, only, prefix string, opts []telemetry.Option) error {
	ctx := context.Background()
	raw := sdktrace.NewTracerProvider(sdktrace.WithBatcher(noSpans{}))
	var stats telemetry.Stats
	// Metrics are read by scrapes; there is no collector to send them to.
	if err := os.Setenv("OTEL_METRICS_EXPORTER", "none"); err != nil {
		return fmt.Errorf("switch the metrics exporter off: %w", err)
	}
	shutdown, err := telemetry.Setup(ctx, append(opts, telemetry.WithExporters(noSpans{}, noLogs{}), telemetry.WithStats(&stats))...)
	if err != nil {
		return fmt.Errorf("set up telemetry: %w", err)
	}
	flush := func() error {
		tracers, ok := otel.GetTracerProvider().(*sdktrace.TracerProvider)
		if !ok {
			return errors.New("flush: the tracer provider is not OpenTelemetry's")
		}
		return errors.Join(tracers.ForceFlush(ctx), flushLogs(ctx))
	}
	rawTracer := raw.Tracer(sdk.ScopeName)
	inTask, ended := sdk.StartTask(ctx, "task-456", sdk.TaskType("article"))
	inAgent, agentEnded := sdk.StartAgent(inTask, "writer")
	rawAgent, rawEnded := rawTracer.Start(ctx, "invoke_agent writer")
	both := func(once func(int), flush func() error) func(int) error {
		return func(n int) error {
			if err := repeat(n, once); err != nil {
				return err
			}
			return flush()
		}
	}
	flushRaw := func() error { return raw.ForceFlush(ctx) }
	all, err := measure(filter([]part{
		{prefix + "raw_task", both(rawTask(rawTracer, ctx), flushRaw)},
		{prefix + "task", both(task(ctx), flush)},
		{prefix + "raw_llm", both(rawLLM(rawTracer, rawAgent), flushRaw)},
		{prefix + "llm", both(llm(inAgent), flush)},
	}, only), rounds, perRound)
	if err != nil {
		return err
	}
	bus, closeBus, err := openBus()
	if err != nil {
		return err
	}
	busOn, err := measure(filter([]part{{prefix + "message", func(n int) error {
		if err := bus(inTask)(n); err != nil {
			return err
		}
		return flush()
	}}}, only), rounds/2+2, perRound/4)
	if err != nil {
		return err
	}
	merge(figures, all)
	merge(figures, busOn)
	ratios(figures, prefix+"task", prefix+"raw_task", all)
	ratios(figures, prefix+"llm", prefix+"raw_llm", all)
	if on := busOn[prefix+"message"]; on != nil && busOff != nil {
		figures[prefix+"message_overhead_us"] = round((median(on.ns)-median(busOff.ns))/1000, 1)
	}
	agentEnded.End(nil)
	ended.End(nil)
	rawEnded.End()
	if err := errors.Join(closeBus(ctx), shutdown(ctx), raw.Shutdown(ctx)); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	if lost := stats.Spans().Waiting() + stats.Logs().Waiting(); lost != 0 {
		return fmt.Errorf("%d spans and log records were dropped: the figures are worth nothing", lost)
	}
	return nil
}

func filter(parts []part, only string) []part {
	if only == "" {
		return parts
	}
	var kept []part
	names := strings.Split(only, ",")
	for _, p := range parts {
		if slices.Contains(names, p.name) {
			kept = append(kept, p)
		}
	}
	return kept
}

func ratios(figures map[string]any, name, raw string, all map[string]*costs) {
	if all[name] == nil || all[raw] == nil {
		return // a profile of one part
	}
	figures[name+"_time_ratio"] = round(ratio(all[name].ns, all[raw].ns), 2)
	figures[name+"_allocs_ratio"] = round(ratio(all[name].allocs, all[raw].allocs), 2)
}

func repeat(n int, once func(int)) error {
	for i := range n {
		once(i)
	}
	return nil
}

func taskID(i int) string {
	const ids = "task-0123456789"
	return ids[:5+i%10]
}

// rawTask is what StartTask and End tell, said with OpenTelemetry alone.
func rawTask(tracer trace.Tracer, ctx context.Context) func(int) { //nolint:revive // the context is what the spans are made in
	return func(i int) {
		_, span := tracer.Start(ctx, "execute_task", trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(
			attribute.String(conv.AITeamTaskID, taskID(i)),
			attribute.String(conv.AITeamTaskType, "article"),
			attribute.String(conv.GenAIOperationName, "invoke_workflow"),
			attribute.String(conv.GenAIWorkflowName, "article")))
		span.SetAttributes(attribute.String(conv.AITeamTaskStatus, sdk.Completed))
		span.End()
	}
}

func task(ctx context.Context) func(int) {
	return func(i int) {
		_, t := sdk.StartTask(ctx, taskID(i), sdk.TaskType("article"))
		t.End(nil)
	}
}

// rawLLM is what StartLLM, Usage, Response and End tell, said with OpenTelemetry alone.
func rawLLM(tracer trace.Tracer, ctx context.Context) func(int) { //nolint:revive // the context is what the spans are made in
	return func(i int) {
		_, span := tracer.Start(ctx, "chat gpt-4o", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String(conv.AITeamTaskID, "task-456"),
			attribute.String(conv.AITeamTaskType, "article"),
			attribute.String(conv.GenAIAgentName, "writer"),
			attribute.String(conv.GenAIOperationName, "chat"),
			attribute.String(conv.GenAIProviderName, "openai"),
			attribute.String(conv.GenAIRequestModel, "gpt-4o")))
		span.SetAttributes(
			attribute.Int(conv.GenAIUsageInputTokens, 1204+i),
			attribute.Int(conv.GenAIUsageOutputTokens, 812))
		span.End()
	}
}

func llm(ctx context.Context) func(int) {
	return func(i int) {
		_, call := sdk.StartLLM(ctx, "openai", "gpt-4o")
		call.Usage(sdk.Usage{Input: 1204 + i, Output: 812})
		call.End(nil)
	}
}

// openBus returns what sends messages to an agent and waits for each to be taken.
func openBus() (send func(context.Context) func(int) error, closeBus func(context.Context) error, err error) {
	transport := mindbus.NewMemory()
	bus, err := mindbus.New(transport, mindbus.Config{})
	if err != nil {
		return nil, nil, err
	}
	taken := make(chan struct{})
	// An event is not answered: it is one message, there and taken.
	err = bus.Handle(context.Background(), "writer", func(context.Context, mindbus.Message) (any, error) {
		taken <- struct{}{}
		return nil, nil
	}, mindbus.WithPatterns("evt.a.b"))
	if err != nil {
		return nil, nil, err
	}
	payload := json.RawMessage(`{"topic":"Bees in cities","words":1200,"revision":0}`)
	send = func(ctx context.Context) func(int) error {
		return func(n int) error {
			for range n {
				m := mindbus.Message{Type: mindbus.Event, From: "orchestrator", To: "a.b", Payload: payload, Time: time.Now()}
				if err := bus.Publish(ctx, m); err != nil {
					return err
				}
				<-taken
			}
			return nil
		}
	}
	closeBus = func(ctx context.Context) error {
		err := bus.Close(ctx)
		return errors.Join(err, transport.Close())
	}
	return send, closeBus, nil
}

func flushLogs(ctx context.Context) error {
	loggers, ok := otel.GetLoggerProvider().(*sdklog.LoggerProvider)
	if !ok {
		return errors.New("flush: the logger provider is not OpenTelemetry's")
	}
	return loggers.ForceFlush(ctx)
}
