package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mindscope/mindscope/internal/signal"
)

// Result says how a request ended; it is a label of the metrics.
type Result string

// The results.
const (
	// OK: everything was taken.
	OK Result = "ok"
	// Partial: a part was refused for good, the rest was taken.
	Partial Result = "partial"
	// Invalid: the request can't be read, or the Sink says that it never can be taken.
	Invalid Result = "invalid"
	// Unsupported: content type, encoding, method or path that is not served.
	Unsupported Result = "unsupported"
	// TooLarge: the message is larger than MaxMessageBytes, as sent or decompressed.
	TooLarge Result = "too_large"
	// Overloaded: the limits of requests or bytes in flight are reached; the sender should send again.
	Overloaded Result = "overloaded"
	// Unavailable: the Sink could not take it now; the sender should send again.
	Unavailable Result = "unavailable"
	// Cancelled: the sender went away or its deadline passed.
	Cancelled Result = "cancelled"
	// Internal: a mistake of ours.
	Internal Result = "internal"
)

// failure is a request that this package refuses by itself; errors of the Sink carry the marks of package signal.
type failure struct {
	result Result
	http   int // status of OTLP/HTTP
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// overloadWait is what a refused sender is asked to wait: requests in flight are done in less.
const overloadWait = time.Second

func invalid(err error) error {
	return &failure{Invalid, http.StatusBadRequest, err}
}

func tooLarge(limit int64) error {
	return &failure{TooLarge, http.StatusRequestEntityTooLarge, fmt.Errorf("message larger than %d bytes, as sent or decompressed", limit)}
}

func overloaded(what string) error {
	err := errors.New("too " + what + " in flight, send again later")
	return &failure{Overloaded, http.StatusTooManyRequests, signal.Retryable(err, overloadWait)}
}

func unsupported(code int, format string, args ...any) error {
	return &failure{Unsupported, code, fmt.Errorf(format, args...)}
}

// resultOf names how a request ended with err.
func resultOf(err error) Result {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.result
	}
	switch {
	case err == nil:
		return OK
	case signal.IsPermanent(err):
		return Invalid
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	}
	return Unavailable // marked Retryable or not: by the contract of signal.Sink the sender should send again
}

// httpStatus is the one place that maps errors to OTLP/HTTP: the status and the wait asked for (0: none).
func httpStatus(err error) (code int, after time.Duration) {
	after, _ = signal.RetryAfter(err)
	if f, ok := errors.AsType[*failure](err); ok {
		return f.http, after
	}
	if resultOf(err) == Invalid {
		return http.StatusBadRequest, 0
	}
	return http.StatusServiceUnavailable, after
}

// grpcStatus is the one place that maps errors to OTLP/gRPC, and to the Status in bodies of OTLP/HTTP.
func grpcStatus(err error) *status.Status {
	s := status.New(grpcCode(err), utf8Text(err.Error()))
	after, ok := signal.RetryAfter(err)
	if !ok || after <= 0 {
		return s
	}
	// OTLP: senders retry ResourceExhausted only when it says when.
	if d, detailErr := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); detailErr == nil {
		return d
	}
	return s
}

func grpcCode(err error) codes.Code {
	switch resultOf(err) {
	case Invalid:
		return codes.InvalidArgument
	case Unsupported:
		return codes.Unimplemented
	case TooLarge, Overloaded:
		return codes.ResourceExhausted
	case Cancelled:
		if errors.Is(err, context.DeadlineExceeded) {
			return codes.DeadlineExceeded
		}
		return codes.Canceled
	case Internal:
		return codes.Internal
	default:
		return codes.Unavailable
	}
}

// bodyStatus is the Status of an OTLP/HTTP answer: the wait is in its header.
func bodyStatus(err error) *spb.Status {
	return &spb.Status{Code: int32(grpcCode(err)), Message: utf8Text(err.Error())}
}

// utf8Text makes s fit for a protobuf string: reasons may quote what the sender sent.
func utf8Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
