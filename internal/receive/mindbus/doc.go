// Package mindbus is the bus tap: it reads along on the team's message bus and tells what it sees as spans, logs, start
// records and heartbeats, so that agents which send no telemetry are visible too.
//
// It binds a queue of its own to the exchange with `#`, bounded in messages, bytes and time, and takes nobody's messages.
// Behind it three steps follow, each bounded:
//
//   - decode reads an envelope: a CloudEvent in structured JSON or the mission's plain six fields. What can't be read is
//     shown as such and counted.
//   - pairing puts a command and its answer together by correlation id: they become the span of the agent that worked, with
//     duration, tokens and cost from `metrics`, the failure from `error`. A missing answer ends it as failed.
//   - hold keeps what agents with telemetry of their own may tell themselves: a span of the tap yields to an SDK's span of
//     the same messaging.message.id. A message that carries no trace context was sent by nobody who traces; it waits for
//     nobody.
//
// The ids of spans are hashed from those of the messages, so that a message seen twice is one span.
package mindbus
