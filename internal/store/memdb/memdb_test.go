package memdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func row(id string, at time.Time, fields ...store.Field) store.Row {
	return store.Row{Kind: store.KindSpan, ID: id, Time: at.UnixNano(), Fields: fields}
}

func write(t testing.TB, db *DB, rows ...store.Row) {
	t.Helper()
	if rejected, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
		t.Fatalf("write: %v, rejected %+v", err, rejected)
	}
}

func TestEvictionTakesTheIndexesAlong(t *testing.T) {
	now := time.Now()
	db := New(Config{MaxRows: 10})
	long := func(i int) string { return strings.Repeat(fmt.Sprint(i), store.PayloadMinBytes) }
	trace := func(i int) string { return fmt.Sprint("trace ", i) }
	for i := range 11 {
		write(t, db, row(fmt.Sprint(i), now.Add(time.Duration(i)),
			store.Field{Name: store.FieldTraceID, Value: store.String(trace(i))},
			store.Field{Name: "attr.prompt", Value: store.String(long(i))}))
	}
	for i, want := range map[int]error{0: store.ErrNotFound, 1: store.ErrNotFound, 2: nil, 10: nil} {
		if _, err := db.TraceRange(t.Context(), signal.DefaultProject, trace(i)); !errors.Is(err, want) {
			t.Errorf("range of trace %d: %v, want %v", i, err, want)
		}
		hash := store.PayloadHash(signal.DefaultProject, long(i))
		if _, err := db.Payload(t.Context(), signal.DefaultProject, hash); !errors.Is(err, want) {
			t.Errorf("payload %d: %v, want %v", i, err, want)
		}
	}
	st, err := db.Stats(t.Context())
	if err != nil || st.Rows != 9 || st.Evicted != 2 || st.Bytes < 9*store.PayloadMinBytes || st.Bytes > 11*store.PayloadMinBytes {
		t.Errorf("stats %+v, %v", st, err)
	}
	// An evicted row that comes again is new.
	write(t, db, row("0", now))
	if st, err = db.Stats(t.Context()); err != nil || st.Rows != 10 {
		t.Errorf("stats %+v, %v", st, err)
	}
}

// TestCloseBesideCalls is for the race detector, and for a panic there was.
func TestCloseBesideCalls(t *testing.T) {
	for range 50 {
		db := New(Config{})
		write(t, db, row("a", time.Now()))
		scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}
		var wg sync.WaitGroup
		call := func(f func() error) {
			wg.Go(func() {
				if err := f(); err != nil && !errors.Is(err, store.ErrClosed) {
					t.Error(err)
				}
			})
		}
		call(func() error { _, err := db.Delete(context.Background(), signal.DefaultProject, scope); return err })
		call(func() error {
			_, err := db.Write(context.Background(), signal.DefaultProject, []store.Row{row("b", time.Now())})
			return err
		})
		call(func() error {
			_, err := db.FieldNames(context.Background(), signal.DefaultProject, scope)
			return err
		})
		call(db.Close)
		wg.Wait()
	}
}

func TestExpiredRowsAreNotFound(t *testing.T) {
	now := time.Now()
	db := New(Config{Retention: time.Hour, Clock: func() time.Time { return now }})
	write(t, db, row("a", now, store.Field{Name: store.FieldName, Value: store.String("chat")}))
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}
	for _, want := range []int{1, 0} {
		values, err := db.FieldValues(t.Context(), signal.DefaultProject, scope, store.FieldName, 0)
		if err != nil || len(values) != want {
			t.Errorf("found %v, %v, want %d", values, err, want)
		}
		now = now.Add(2 * time.Hour)
	}
}
