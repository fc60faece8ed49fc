// Sends one trace and a log record with the OpenTelemetry SDK for Node and prints, as JSON, what it sent.
// usage: node send.mjs grpc|proto|json ENDPOINT TASK_ID
import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPTraceExporter as GrpcTraces } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonTraces } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoTraces } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

const [protocol, endpoint, taskId] = process.argv.slice(2);
const exporters = {
  grpc: () => [new GrpcTraces({ url: endpoint }), new GrpcLogs({ url: endpoint })],
  proto: () => [new ProtoTraces({ url: `${endpoint}/v1/traces` }), new JsonLogs({ url: `${endpoint}/v1/logs` })],
  json: () => [new JsonTraces({ url: `${endpoint}/v1/traces` }), new JsonLogs({ url: `${endpoint}/v1/logs` })],
};
const [traces, logs] = exporters[protocol]();

const resource = resourceFromAttributes({ "service.name": "node-agent", "service.namespace": "nodeteam", "host.cores": 2 });
const tracers = new NodeTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(traces)] });
const loggers = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: logs })] });
const tracer = tracers.getTracer("mindscope-test", "1.2.3");

const attributes = {
  "ai_team.task.id": taskId,
  "ai_team.task.type": "article",
  "test.int": 42,
  "test.double": 0.5,
  "test.bool": true,
  "test.text": "Привет, мир",
  "test.empty": "",
  "test.list": ["a", "b"],
  "test.numbers": [1, 2, 3],
};
const root = tracer.startSpan("execute_task", { kind: SpanKind.INTERNAL, attributes });
const inside = trace.setSpan(context.active(), root);
const call = tracer.startSpan(
  "chat gpt-4o",
  {
    kind: SpanKind.CLIENT,
    attributes: {
      "ai_team.task.id": taskId,
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4o",
      "gen_ai.agent.name": "writer",
      "gen_ai.usage.input_tokens": 97,
      "gen_ai.usage.output_tokens": 52,
    },
    links: [{ context: root.spanContext(), attributes: { "test.link": "yes" } }],
  },
  inside,
);
call.addEvent("first chunk", { "test.bytes": 17 });
call.setStatus({ code: SpanStatusCode.ERROR, message: "cut off" });
call.end();
loggers.getLogger("mindscope-test").emit({
  severityNumber: SeverityNumber.WARN,
  severityText: "WARN",
  body: "the answer was cut off",
  attributes: { "ai_team.task.id": taskId, "test.int": 7 },
  context: trace.setSpan(context.active(), call),
});
root.end();

await Promise.all([tracers.shutdown(), loggers.shutdown()]);
const ids = (span) => ({ traceId: span.spanContext().traceId, spanId: span.spanContext().spanId });
console.log(JSON.stringify({ root: ids(root), call: ids(call), attributes }));
