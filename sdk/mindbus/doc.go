// Package mindbus is the team's message bus: the envelope of its messages, the context that travels with them, and a
// Bus that publishes, requests and handles them over any Transport.
//
// A message is a CloudEvents 1.0 event in structured JSON. It names its task in `subject` and the trace in which it
// was made in `traceparent` (the creation context). Each hop carries a context of its own (traceparent, tracestate,
// baggage) in the transport's headers. The consumer prefers the header and links to the creation context when the two
// differ.
//
// In the flow of the data it is the first hop: an agent's `send` span and the `process` span of the agent that gets
// the message are born here.
package mindbus
