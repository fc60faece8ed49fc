// Package otlp receives traces, logs and metrics from OpenTelemetry SDKs and collectors, over gRPC and HTTP, and
// writes them to a signal.Sink. It is the first stage of the flow: the wire types live and die here.
//
// Both transports bring a request down to bytes and hand it to one code path (Receiver.serve), so they decode, limit,
// count and answer alike. The gRPC methods are streams of one message to this end: a handler of a stream runs before
// its message is read, so that a full server refuses a request without reading it, and a message that can't be decoded
// is answered as the sender's mistake (InvalidArgument) and counted, where generated stubs answer Internal unseen.
package otlp
