package otlp

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// projectKey is the HTTP header and the gRPC metadata that names the project.
const projectKey = "x-mindscope-project"

// serviceDesc describes one signal's service to the gRPC server, see the package doc for why it is a stream.
func (r *Receiver) serviceDesc(e *endpoint) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: e.service,
		Streams: []grpc.StreamDesc{{
			StreamName:    "Export",
			ClientStreams: true,
			Handler:       func(_ any, s grpc.ServerStream) error { return r.exportGRPC(e, s) },
		}},
	}
}

func (r *Receiver) exportGRPC(e *endpoint, s grpc.ServerStream) error {
	reply, err := r.serve(s.Context(), call{
		endpoint:  e,
		transport: "grpc",
		project:   projectOf(s.Context()),
		enc:       protobuf,
		read:      func(share *lease) ([]byte, func(), error) { return r.recv(s, share) },
	})
	if err != nil {
		return grpcStatus(err).Err()
	}
	return s.SendMsg(&frame{buf: mem.SliceBuffer(reply)})
}

// recv reads the request's only message.
func (r *Receiver) recv(s grpc.ServerStream, share *lease) ([]byte, func(), error) {
	var f frame
	if err := s.RecvMsg(&f); err != nil {
		return nil, nil, recvError(err, r.cfg.MaxMessageBytes)
	}
	if err := share.grow(int64(f.buf.Len())); err != nil {
		f.buf.Free()
		return nil, nil, err
	}
	return f.buf.ReadOnlyData(), f.buf.Free, nil
}

// recvError names the sender's mistake in an error of the transport.
func recvError(err error, limit int64) error {
	switch status.Code(err) {
	case codes.ResourceExhausted:
		return tooLarge(limit)
	case codes.Canceled:
		return errors.Join(context.Canceled, err)
	case codes.DeadlineExceeded:
		return errors.Join(context.DeadlineExceeded, err)
	case codes.Unimplemented: // grpc-encoding
		return &failure{Unsupported, 0, errors.New(status.Convert(err).Message())}
	}
	return invalid(fmt.Errorf("read message: %w", err))
}

func projectOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(projectKey); len(v) > 0 {
		return v[0]
	}
	return ""
}

// frame is a message in bytes.
type frame struct{ buf mem.Buffer }

// codec passes frames on as they are: messages are decoded in Receiver.serve.
type codec struct{}

// Name is the content subtype.
func (codec) Name() string { return "proto" }

// Marshal hands the frame's buffer over.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("BUG: marshal %T", v)
	}
	return mem.BufferSlice{f.buf}, nil
}

// Unmarshal keeps the bytes with a reference of their own.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("BUG: unmarshal %T", v)
	}
	f.buf = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
