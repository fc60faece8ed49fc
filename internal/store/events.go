package store

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// Events is the store of spans, log records and all that is kept about them. Implementations pass storetest.
//
// Concurrency: every method may be called at any time from any number of goroutines. Close lets the running calls end;
// a call after it returns ErrClosed. A reader sees each row whole, in one revision, never twice; it may or may not see
// what is written or deleted while it reads.
//
// Isolation: a call sees and changes the rows of its project only. A project that was never written to is empty.
//
// Durability: what Write has acknowledged survives as far as the implementation's package doc promises, at the least a
// Close and the next open. Deletions are as durable as writes.
//
// Identity: rows of one project, kind and ID are one row. The first one written stays, until one with a higher
// FieldRevision takes its place for every reader, wherever in time the two lie; a lower or equal revision changes
// nothing, in whatever order they come.
//
// Errors: a question that no store can answer returns ErrBadQuery, marked signal.Permanent. A done context ends a call
// with its error. Names of fields and values are any bytes at all; no store may lose or change them.
type Events interface {
	Writer
	Reader
	Deleter
	Replacer

	// Stats returns figures of the whole store, for metrics and start-up messages.
	Stats(ctx context.Context) (Stats, error)
	// Close stops the store after the running calls; what was acknowledged is there at the next open.
	// A second Close is a no-op.
	Close() error
}

// Writer takes rows.
type Writer interface {
	// Write stores rows, in order, and returns when they are as durable as the store promises in its package doc.
	// Rows that can't be taken are counted in Rejected with the reason (outside retention, larger than the store can
	// hold); they are not stored, and the others are. A row whose ID was stored already is taken and changes nothing.
	// After an error any part of rows may have been stored; writing them again is right.
	// Written rows are visible to readers when Write has returned, or soon after (see Stats.VisibleWithin).
	//
	// Ownership: rows and their Fields are the caller's again when Write has returned. Texts, which nothing can change,
	// may be kept.
	//
	// Errors: signal.Retryable for a store that is full or read-only for now; signal.Permanent never.
	Write(ctx context.Context, p signal.Project, rows []Row) (signal.Rejected, error)
}

// Replacer puts rows in the place of stored ones.
type Replacer interface {
	// Replace puts rows, all of kind k and each with an ID of its own, in the place of the stored rows with these IDs, all
	// revisions of them up to the row's own. Payloads that no row refers to any more go. A row whose ID is not stored is left
	// out: what was deleted meanwhile stays deleted. They are committed to no Observer, now or after a restart: it was
	// told of the rows that these take the place of, and would count them twice. A DeletionObserver is told that those are
	// Deleted, and that these are Rewritten.
	//
	// Durability: each row is stored at any time, as it was or as it is to be. A store that takes no writes refuses before
	// anything is removed. A crash in the middle is made good at the next open. After an error rows are as they were, or
	// replaced, or, when the store stopped taking writes in the middle, kept aside: no reader sees these until the store has
	// put them in their places, which it tries by itself; a Delete reaches them there. Replacing again is right.
	// When Replace returns without an error, no reader sees the rows as they were, now or after a restart, and the new ones
	// are visible as those of Write. In between a reader may see neither.
	//
	// Order: of two calls for one row the later one stays. A row of which a higher revision is stored, also by a writer
	// beside the call, stays as it is and is counted in Replaced.Kept.
	//
	// Ownership: as of Write.
	//
	// Errors: signal.Retryable for a store that is full or read-only for now; signal.Permanent for rows that break the rules
	// above.
	Replace(ctx context.Context, p signal.Project, k Kind, rows []Row) (Replaced, error)
}

// Replaced says what Replace did.
type Replaced struct {
	// Rows is how many rows took the place of stored ones.
	Rows int64
	// Expired is how many were removed and not written, since they are past their retention.
	Expired int64
	// Kept counts those that could not be replaced, with the reason: the stored ones are as they were.
	Kept signal.Rejected
}

// Reader answers questions.
type Reader interface {
	// Select yields the rows that q asks for, once each and in its order. Iteration ends with the first error; a partial
	// answer (a storage node did not answer) ends with ErrPartial after the rows that were found. Nothing is read before
	// the iteration begins, and not much more than was yielded when it stops early: memory stays bounded however many
	// rows there are. Each iteration asks anew.
	//
	// Ownership: a yielded row is the caller's, to change as well, until the next one is asked for; Row.Clone keeps it.
	Select(ctx context.Context, p signal.Project, q Select) iter.Seq2[*Row, error]

	// Aggregate groups rows and computes functions over each group. Groups come in order of time, then of their keys. No
	// row means no group. More groups than q.Limit are ErrTooMany. When a part of the store does not answer, it returns
	// ErrPartial with the groups of the rest, whose values are too small: they tell what there is, not how much.
	Aggregate(ctx context.Context, p signal.Project, q Aggregate) ([]Group, error)

	// FieldNames returns the names of the fields of the selected rows with the number of rows that have a text other
	// than "" in it, most frequent first, then by name.
	FieldNames(ctx context.Context, p signal.Project, s Scope) ([]Count, error)

	// FieldValues returns the texts of one field other than "" with their number of rows, most frequent first, then by
	// text, at most limit (0: all, or ErrTooMany when the store can't hold so many at once).
	FieldValues(ctx context.Context, p signal.Project, s Scope, field string, limit int) ([]Count, error)

	// TraceRange returns the range of time in which the trace's spans started, so that a fetch by id need not scan the
	// whole retention. It returns ErrNotFound for an unknown trace. The range may be wider than the trace.
	TraceRange(ctx context.Context, p signal.Project, traceID string) (signal.TimeRange, error)

	// TraceRanges is TraceRange for many traces, with far fewer looks than one for each. Unknown traces are not in the
	// answer. When a part of the store does not answer, it returns ErrPartial, and what it found may be too short.
	TraceRanges(ctx context.Context, p signal.Project, traceIDs []string) (map[string]signal.TimeRange, error)

	// Payload returns the stored content of a hash (see Payload.Hash), ErrNotFound when there is none.
	Payload(ctx context.Context, p signal.Project, hash string) (Payload, error)
}

// Deleter removes rows.
type Deleter interface {
	// Delete removes the rows in s, all revisions of them, and the payloads that no remaining row refers to. It returns
	// how many rows were removed. When it returns, no reader sees them, now or after a restart. After an error any part
	// of them may be gone; deleting again is right. A deleted row that is written again is new.
	Delete(ctx context.Context, p signal.Project, s Scope) (int64, error)
}

// Scope says which rows a question is about.
type Scope struct {
	// Kind is required.
	Kind Kind
	// Time is required; signal.AllTime() for all of it.
	Time signal.TimeRange
	// Filter may be nil.
	Filter Filter
}

// Order is the order of selected rows.
type Order uint8

// Orders. Rows of the same time come in order of their ID.
const (
	Unordered Order = iota
	OldestFirst
	NewestFirst
)

// Select asks for rows.
type Select struct {
	Scope
	// Fields names the fields to return; nil means all. A row comes even when it has none of them.
	Fields []string
	Order  Order
	// Limit ends the answer after so many rows; 0 means no limit, and then the caller must stop by itself.
	Limit int
}

// Func is an aggregate function.
type Func string

// The aggregate functions. All but CountRows need a field; rows where it isn't a number (for CountDistinct and SumLen: is
// absent) are left out. SumLen is the sum of the bytes of a field's texts, 0 where there are none.
const (
	CountRows     Func = "count"
	Sum           Func = "sum"
	Min           Func = "min"
	Max           Func = "max"
	Avg           Func = "avg"
	Quantile      Func = "quantile"
	CountDistinct Func = "count_distinct"
	SumLen        Func = "sum_len"
)

// Column is one function of an Aggregate.
type Column struct {
	Func  Func
	Field string
	// Phi is Quantile's φ, 0 to 1. Engines may answer with a value whose rank is within 1 % of the asked one.
	Phi float64
}

// Aggregate asks for figures.
type Aggregate struct {
	Scope
	// By names the fields whose texts make the group; a row without the field has "".
	By []string
	// Step, when positive, also groups by time: rows of [Start+k·Step, Start+(k+1)·Step) of the scope's range.
	Step    time.Duration
	Columns []Column
	// Limit bounds the number of groups; more than that is an error (ErrTooMany), never a cut answer. 0 means 10 000.
	Limit int
}

// Group is one group of an Aggregate.
type Group struct {
	// Start is the beginning of the group's step, nanoseconds; 0 without Step.
	Start int64
	// Key holds the texts of By, in its order.
	Key []string
	// Values holds the columns' results in their order; NaN where a function had no row to work on. Sums of integers
	// are exact up to 2⁵³.
	Values []float64
}

// Count is a text with a number of rows.
type Count struct {
	Text string
	Rows uint64
}

// Payload is content that is stored once and referred to by hash.
type Payload struct {
	Hash      string
	MediaType string
	Body      string
}

// Stats are figures of a store.
type Stats struct {
	// Rows is the number of stored rows, repeats that are not yet merged included.
	Rows uint64
	// Bytes is the space the store takes on disk (in memory for memdb).
	Bytes uint64
	// Evicted counts rows that went before their time because the store was full.
	Evicted uint64
	// Refused counts the writes that were refused because the store is read-only.
	Refused uint64
	// ReadOnly says that writes are refused for now.
	ReadOnly bool
	// VisibleWithin bounds the time from Write's return until readers see the rows.
	VisibleWithin time.Duration
	// Accept holds the times of rows that are taken now: retention and the future limit.
	Accept signal.TimeRange
}

// Observer is told of rows once they are committed and known to be new: what derive counts and shows live.
//
// Committed is called in commit order, one call at a time, before Write returns. It must not block, keep rows or call
// the store. Rows a store replays at start are not committed again, unless the state saved with the log lacks them.
type Observer interface {
	Committed(p signal.Project, rows []Row)
}

// DeletionObserver is an Observer that keeps ids or texts of rows, and lets go of them when the rows are deleted. What was
// counted stays counted.
//
// Both methods are called as Committed is: one call at a time, Committed included; they must not block, keep rows or call
// the store. Of a row Committed comes before Deleted.
type DeletionObserver interface {
	Observer
	// Deleted tells of rows that are being deleted, in any number of calls, all of them before Delete returns and before
	// the state is saved that a durable store keeps from then on. A row has its Kind and ID, no Time, and of its fields
	// FieldTraceID, FieldSpanID, FieldTeam and FieldTaskID where it has them. It may be told again when Delete is done
	// again, after an error or a crash, and it may come that the store did not get to delete it. A row that is written
	// after its deletion is committed like any other.
	Deleted(p signal.Project, rows []Row)
	// Rewritten tells of rows that Replace stored in the place of ones that the last Deleted was about: what was kept of
	// those is to be made of these, and nothing is to be counted. It is not told again after a crash: what is made of
	// these alone must be something that comes again by itself.
	Rewritten(p signal.Project, rows []Row)
}

// StatefulObserver is an Observer whose state outlives the process. A durable store saves it together with its place
// among the committed rows, at intervals and at Close; at start it loads it and commits the rows behind that place
// again, each once and in the order of the first time. So what is counted is counted once, whatever the process dies of.
// Heartbeats (KindHeartbeat) are stored nowhere and not committed again.
type StatefulObserver interface {
	Observer
	// Save writes the state that the rows committed so far have made. No row is committed meanwhile, and writers wait: w is
	// memory. It must not call the store.
	Save(w io.Writer) error
	// Load puts back what Save wrote, before the first row. An error means that the state is of no use: the store
	// goes on without, and says so in its log.
	Load(state []byte) error
}
