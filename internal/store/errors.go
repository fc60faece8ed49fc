package store

import "errors"

// Errors that callers tell apart with errors.Is. Implementations wrap them with what they were about.
var (
	// ErrNotFound: there is no such trace, task or payload.
	ErrNotFound = errors.New("not found")
	// ErrBadQuery: the question itself is wrong, whoever is asked; its text says what to do.
	ErrBadQuery = errors.New("the question is not valid")
	// ErrPartial: part of the store did not answer; what came before it is right but not all.
	ErrPartial = errors.New("the answer is partial: a part of the store did not answer")
	// ErrTooMany: the answer would be larger than the question's or the store's limit.
	ErrTooMany = errors.New("too many results")
	// ErrCorrupt: stored bytes are not what was written.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrReadOnly: the store takes no writes for now (disk full or read-only).
	ErrReadOnly = errors.New("the store is read-only")
	// ErrInUse: another process has the data folder open.
	ErrInUse = errors.New("the data folder is in use by another process")
	// ErrNewer: the data folder was written by a newer release.
	ErrNewer = errors.New("the data folder was written by a newer release")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)
