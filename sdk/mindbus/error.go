package mindbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Code is the name of a google.rpc.Code.
type Code string

// The codes an agent's error can have.
const (
	CodeCancelled          Code = "CANCELLED"
	CodeUnknown            Code = "UNKNOWN"
	CodeInvalidArgument    Code = "INVALID_ARGUMENT"
	CodeDeadlineExceeded   Code = "DEADLINE_EXCEEDED"
	CodeNotFound           Code = "NOT_FOUND"
	CodeAlreadyExists      Code = "ALREADY_EXISTS"
	CodePermissionDenied   Code = "PERMISSION_DENIED"
	CodeResourceExhausted  Code = "RESOURCE_EXHAUSTED"
	CodeFailedPrecondition Code = "FAILED_PRECONDITION"
	CodeAborted            Code = "ABORTED"
	CodeOutOfRange         Code = "OUT_OF_RANGE"
	CodeUnimplemented      Code = "UNIMPLEMENTED"
	CodeInternal           Code = "INTERNAL"
	CodeUnavailable        Code = "UNAVAILABLE"
	CodeDataLoss           Code = "DATA_LOSS"
	CodeUnauthenticated    Code = "UNAUTHENTICATED"
)

// Error is how an agent's failure travels. A handler returns one to choose code and retryability itself; Request
// returns one when the answer is an Error message.
type Error struct {
	// Code is the class of the failure.
	Code Code `json:"code"`
	// Message is for people.
	Message string `json:"message"`
	// Retryable says that the same command may succeed later.
	Retryable bool `json:"retryable"`

	cause error
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the error that e was made from in this process, nil when it came over the bus.
func (e *Error) Unwrap() error { return e.cause }

// ErrorType returns the code, the value of the attribute error.type.
func (e *Error) ErrorType() string { return string(e.Code) }

// NewError returns err as an Error of the code, with err's text as its message.
func NewError(code Code, retryable bool, err error) *Error {
	return &Error{Code: code, Message: err.Error(), Retryable: retryable, cause: err}
}

// ErrorPayload is the payload of an Error message.
type ErrorPayload struct {
	// Error is the failure.
	Error *Error `json:"error"`
}

// asError returns err as an Error: an Error in its chain as it is, otherwise by what the standard library says of it.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		// The message keeps what was wrapped around the Error on the way up.
		if msg := err.Error(); msg != e.Error() {
			return &Error{Code: e.Code, Message: msg, Retryable: e.Retryable, cause: err}
		}
		return e
	}
	var temporary interface{ Temporary() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return NewError(CodeDeadlineExceeded, true, err)
	case errors.Is(err, context.Canceled):
		return NewError(CodeCancelled, true, err)
	case errors.As(err, &temporary) && temporary.Temporary():
		return NewError(CodeUnavailable, true, err)
	default:
		return NewError(CodeUnknown, false, err)
	}
}

// errorOf reads the failure out of an Error message. One whose payload cannot be read is still a failure.
func errorOf(m Message) *Error {
	var p ErrorPayload
	if err := json.Unmarshal(m.Payload, &p); err != nil || p.Error == nil {
		return &Error{Code: CodeUnknown, Message: fmt.Sprintf("agent %s answered an error that says nothing", m.From)}
	}
	if p.Error.Code == "" {
		p.Error.Code = CodeUnknown
	}
	return p.Error
}
