// Package storetest holds the suite that every implementation of store.Events passes. It tests the contract as store
// documents it, by cases, by query tests written as text (testdata) and by random operations on which every
// implementation must agree with memdb.
package storetest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Open opens the store that lives in dir. The suite closes it, and opens it again to see what stayed. Rows of the last
// week must be taken, whatever they weigh.
type Open func(t testing.TB, dir string) store.Events

// Options says what differs between implementations. The zero value is right for one that keeps its rows.
type Options struct {
	// Volatile is set for a store that forgets everything when it is closed.
	Volatile bool
	// Settle returns when readers see all that was written. Nil calls the store's method Flush, if it has one.
	Settle func(t testing.TB, db store.Events)
	// Asked, when set, is called before the random operations ask an aggregate, from several goroutines.
	Asked func(db store.Events, q store.Aggregate)
	// Rewrite writes the answers into the query tests instead of comparing them. It is for memdb alone.
	Rewrite bool
}

// Run runs the whole suite.
func Run(t *testing.T, open Open, o Options) {
	t.Helper()
	s := &suite{open: open, Options: o}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"written rows come back", s.comeBack},
		{"rows of one id are one", s.oneID},
		{"the newest revision wins", s.revisions},
		{"rejected rows", s.rejects},
		{"projects do not see each other", s.isolation},
		{"time ranges are half-open", s.halfOpen},
		{"order and limit", s.order},
		{"yielded rows are the caller's", s.ownership},
		{"iterators stop early", s.earlyStop},
		{"cancelled calls", s.cancelled},
		{"wrong questions", s.badQueries},
		{"trace ranges", s.traceRanges},
		{"payloads", s.payloads},
		{"payload that came with a later row", s.sharedLater},
		{"deletion", s.deletion},
		{"replacing rows", s.replacing},
		{"replacing revised rows", s.replacingRevised},
		{"replacing too late", s.replacingTooLate},
		{"wrong replacements", s.badReplacing},
		{"stats", s.stats},
		{"restart", s.restart},
		{"concurrency", s.concurrency},
		{"closed", s.closed},
		{"telemetry", s.telemetry},
		{"queries", s.queries},
		{"oracle", s.oracle},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), c.test)
	}
}

type suite struct {
	Options
	open Open
}

// Base is the time around which the suite's rows lie: some days ago, within every retention and across midnights.
func Base() int64 {
	const day = 24 * time.Hour
	return time.Now().UTC().Truncate(day).Add(-5*day + 7*time.Hour + 123456789).UnixNano()
}

// box is a store under test.
type box struct {
	*suite
	t   testing.TB
	dir string
	db  store.Events
}

func (s *suite) box(t testing.TB) *box {
	t.Helper()
	b := &box{suite: s, t: t, dir: t.TempDir()}
	b.db = s.open(t, b.dir)
	t.Cleanup(b.close)
	return b
}

func (b *box) close() {
	b.t.Helper()
	if err := b.db.Close(); err != nil {
		b.t.Errorf("close: %v", err)
	}
}

func (b *box) reopen() {
	b.t.Helper()
	b.close()
	b.db = b.open(b.t, b.dir)
}

// drop closes the store and frees its folder, for tests that open many.
func (b *box) drop() {
	b.t.Helper()
	b.close()
	if err := os.RemoveAll(b.dir); err != nil {
		b.t.Errorf("remove folder: %v", err)
	}
}

// write stores rows of the default project, all of which must be taken, and waits until they are seen.
func (b *box) write(rows ...store.Row) {
	b.t.Helper()
	b.writeTo(signal.DefaultProject, rows...)
}

func (b *box) writeTo(p signal.Project, rows ...store.Row) {
	b.t.Helper()
	rejected, err := b.db.Write(b.t.Context(), p, rows)
	if err != nil || rejected.Items != 0 {
		b.t.Fatalf("write: %v, rejected %+v", err, rejected)
	}
	b.settle()
}

func (b *box) settle() {
	b.t.Helper()
	if b.Settle != nil {
		b.Settle(b.t, b.db)
		return
	}
	if f, ok := b.db.(interface{ Flush() error }); ok {
		if err := f.Flush(); err != nil {
			b.t.Fatalf("flush: %v", err)
		}
	}
}

// rows returns what a question selects in the default project.
func (b *box) rows(q store.Select) []store.Row {
	b.t.Helper()
	rows, err := collect(b.t, b.db, signal.DefaultProject, q)
	if err != nil {
		b.t.Fatalf("select %+v: %v", q, err)
	}
	return rows
}

func (b *box) ids(q store.Select) []string {
	b.t.Helper()
	return idsOf(b.rows(q))
}

func idsOf(rows []store.Row) []string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}

func collect(t testing.TB, db store.Reader, p signal.Project, q store.Select) ([]store.Row, error) {
	t.Helper()
	var rows []store.Row
	for r, err := range db.Select(t.Context(), p, q) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, *r.Clone())
	}
	if q.Order == store.Unordered {
		slices.SortFunc(rows, func(a, b store.Row) int { return strings.Compare(a.ID, b.ID) })
	}
	return rows, nil
}

// all selects every row of a kind, oldest first.
func all(k store.Kind) store.Select {
	return store.Select{Scope: allOf(k), Order: store.OldestFirst}
}

func allOf(k store.Kind) store.Scope { return store.Scope{Kind: k, Time: signal.AllTime()} }

func matching(k store.Kind, f store.Filter) store.Select {
	q := all(k)
	q.Filter = f
	return q
}

func row(k store.Kind, id string, at int64, fields ...store.Field) store.Row {
	return store.Row{Kind: k, ID: id, Time: at, Fields: fields}
}

func field(name string, v store.Value) store.Field { return store.Field{Name: name, Value: v} }

func text(name, s string) store.Field { return field(name, store.String(s)) }

func (b *box) same(what string, want, got any) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

// sameRows compares rows in order, without regard to the order of fields of different names.
func (b *box) sameRows(want, got []store.Row) {
	b.t.Helper()
	b.same("rows", describeAll(want), describeAll(got))
}

func describeAll(rows []store.Row) []string {
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = Describe(&rows[i])
	}
	return out
}

// Describe writes all of a row as text, its fields by name; those of one name keep their order.
func Describe(r *store.Row) string {
	fields := slices.Clone(r.Fields)
	slices.SortStableFunc(fields, func(a, b store.Field) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %d\n", r.Kind, r.ID, r.Time)
	for _, f := range fields {
		bits := uint64(0)
		if f.Value.Type() == store.TypeDouble {
			d, _ := f.Value.Number()
			bits = math.Float64bits(d)
		}
		s := f.Value.Text()
		if len(s) > 100 {
			s = fmt.Sprintf("%s…%d bytes, %s", s[:20], len(s), store.PayloadHash("", s))
		}
		fmt.Fprintf(&b, "  %q = %s %q %x\n", f.Name, f.Value.Type(), s, bits)
	}
	return b.String()
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
