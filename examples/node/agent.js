// An agent of the team in Node: OpenTelemetry's own SDK, its instrumentation of amqplib, and three attributes by which
// MindScope knows task, agent and message. It translates texts, without a model.
//
//   node agent.js amqp://guest:guest@127.0.0.1:5672/
//
// Spans go where OTEL_EXPORTER_OTLP_ENDPOINT says. Started as translator, it takes commands of cmd.translator.translator
// and answers with a result.
'use strict';

const { trace, SpanStatusCode } = require('@opentelemetry/api');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { AmqplibInstrumentation } = require('@opentelemetry/instrumentation-amqplib');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'translator', 'service.namespace': 'newsroom' }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 500 })],
});
provider.register();

// What the instrumentation does not say: whose message it is. By the id the bus tap knows that somebody tells of the
// message already.
const describe = (span, id, event) => span.setAttributes({
  'messaging.message.id': id, 'ai_team.task.id': event.subject, 'ai_team.message.type': event.type.slice('ai.team.'.length).toUpperCase(),
  'ai_team.message.from_agent': event.source, 'ai_team.message.to_agent': event.toagent,
});
registerInstrumentations({
  instrumentations: [new AmqplibInstrumentation({
    consumeHook: (span, { msg }) => describe(span, msg.properties.messageId, JSON.parse(msg.content)),
    publishHook: (span, { options, content }) => describe(span, options.messageId, JSON.parse(content)),
  })],
});

// amqplib is loaded after its instrumentation, which would not see it otherwise.
const amqp = require('amqplib');
const { randomUUID } = require('node:crypto');

const exchange = 'mindbus.main';
const agent = 'translator';
const tracer = trace.getTracer('mindscope-example-node');

// work does what the agent is there for, in a span of its own.
function work(command) {
  return tracer.startActiveSpan(`invoke_agent ${agent}`, {
    attributes: {
      'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': agent, 'ai_team.task.id': command.subject,
    },
  }, (span) => {
    try {
      return { text: [...command.data.text].reverse().join('') };
    } catch (error) {
      span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      throw error;
    } finally {
      span.end();
    }
  });
}

function answer(channel, command, message) {
  let type = 'result', data;
  try {
    data = work(command);
  } catch (error) {
    type = 'error';
    data = { error: { code: 'INTERNAL', message: error.message, retryable: false } };
  }
  const event = {
    specversion: '1.0', id: randomUUID(), type: `ai.team.${type}`, source: agent, toagent: command.source,
    subject: command.subject, time: new Date().toISOString(), datacontenttype: 'application/json', data,
  };
  const body = Buffer.from(JSON.stringify(event));
  const options = {
    messageId: event.id, correlationId: command.id, contentType: 'application/cloudevents+json', persistent: true, type: type.toUpperCase(),
  };
  if (message.properties.replyTo) {
    channel.publish('', message.properties.replyTo, body, { ...options });
  }
  channel.publish(exchange, `res.${command.source}.${agent}`, body, { ...options });
}

// read returns the command in a message; it throws for what is none.
function read(message) {
  const event = JSON.parse(message.content);
  for (const name of ['id', 'source', 'type']) {
    if (typeof event?.[name] !== 'string') throw new Error(`${name} is no string`);
  }
  return event;
}

async function main() {
  const connection = await amqp.connect(process.argv[2]);
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: true });
  // Where what can't be read is kept, as the Go SDK declares it.
  await channel.assertQueue('mindbus.dead', { durable: true, maxPriority: 10, maxLength: 10000, arguments: { 'x-overflow': 'drop-head' } });
  const { queue } = await channel.assertQueue(`agent.${agent}`, {
    durable: true, maxPriority: 10, deadLetterExchange: '', deadLetterRoutingKey: 'mindbus.dead', maxLength: 10000,
    arguments: { 'x-overflow': 'reject-publish' },
  });
  await channel.bindQueue(queue, exchange, `cmd.${agent}.${agent}`);
  await channel.prefetch(4);
  await channel.consume(queue, (message) => {
    if (message === null) { // the broker took the queue away: whoever runs the agent starts it again
      console.error(`the queue ${queue} is gone`);
      provider.shutdown().finally(() => process.exit(1));
      return;
    }
    let command;
    try {
      command = read(message);
    } catch (error) {
      console.error('a message that is no command goes to mindbus.dead:', error.message);
      channel.nack(message, false, false);
      return;
    }
    answer(channel, command, message);
    channel.ack(message);
  });
  console.log(agent, 'is ready');
  process.once('SIGTERM', async () => {
    await connection.close();
    await provider.shutdown();
    process.exit(0);
  });
}

main().catch((error) => { console.error(error); process.exit(1); });
