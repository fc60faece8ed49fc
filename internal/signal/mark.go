package signal

import (
	"errors"
	"time"
)

// permanentError marks an error that sending again cannot mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks err as one that the same request will always give: the sender must not retry.
// It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent tells whether err or an error in its tree was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// retryableError marks an error that passes.
type retryableError struct {
	error
	after time.Duration
}

func (e retryableError) Unwrap() error { return e.error }

// Retryable marks err as one that passes (full queue, read-only disk): the sender should send again, not before
// after has gone by (0: at its own pace). It returns nil for nil.
func Retryable(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return retryableError{err, after}
}

// RetryAfter tells whether err was marked by Retryable, and the wait it asks for.
func RetryAfter(err error) (time.Duration, bool) {
	if r, ok := errors.AsType[retryableError](err); ok {
		return r.after, true
	}
	return 0, false
}

// Hinter is an error that knows what its reader can do about it. Edges print the hint on a line of its own.
type Hinter interface {
	error
	// Hint is one sentence or command, without a final full stop.
	Hint() string
}

type hintError struct {
	error
	hint string
}

func (e hintError) Unwrap() error { return e.error }
func (e hintError) Hint() string  { return e.hint }

// WithHint adds what to do next to err. It returns nil for nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return hintError{err, hint}
}

// HintOf returns the hint of the outermost error in err's tree that has one, or "".
func HintOf(err error) string {
	if h, ok := errors.AsType[Hinter](err); ok {
		return h.Hint()
	}
	return ""
}
