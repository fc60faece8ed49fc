package eventdb

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// noise is text that hardly compresses.
func noise(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x ", r.Uint64())
	}
	return b.String()
}

// writeDays writes a few spans with large prompts on each of the last days, the present one included.
func writeDays(t *testing.T, db *DB, now time.Time, days int) {
	t.Helper()
	for d := range days {
		at := now.Truncate(day).Add(-time.Duration(d) * day).UnixNano()
		var rows []store.Row
		for i := range 20 {
			seed := uint64(d*100 + i)
			rows = append(rows, span(fmt.Sprintf("trace-%d", d), fmt.Sprint(i), at+int64(i),
				field("attr.prompt", store.String(noise(seed, 20_000))), field("attr.note", store.String(noise(seed+50_000, 400)))))
		}
		write(t, db, rows...)
	}
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func names(now time.Time, ago ...int) []string {
	var out []string
	for _, d := range ago {
		out = append(out, now.Truncate(day).Add(-time.Duration(d)*day).Format(dayLayout))
	}
	slices.Sort(out)
	return out
}

func sameDays(t *testing.T, db *DB, payloads, events []string) {
	t.Helper()
	if diff := cmp.Diff(payloads, db.payloads.PartitionList()); diff != "" {
		t.Errorf("days of payloads (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(events, db.events.PartitionList()); diff != "" {
		t.Errorf("days of events (-want +got):\n%s", diff)
	}
}

func TestDiskBudget(t *testing.T) {
	now := time.Now().UTC()
	db := openWith(t, t.TempDir(), Config{Clock: func() time.Time { return now }})
	writeDays(t, db, now, 5)
	used, err := folderBytes(db.dir)
	if err != nil {
		t.Fatal(err)
	}
	tidy := func(budget int64) {
		t.Helper()
		db.cfg.MaxDiskBytes = budget
		if err := db.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tidy(2 * used)
	sameDays(t, db, names(now, 0, 1, 2, 3, 4), names(now, 0, 1, 2, 3, 4))

	// Payloads go first, oldest first; the spans stay and say so.
	tidy(used * 7 / 10)
	sameDays(t, db, names(now, 0, 1, 2), names(now, 0, 1, 2, 3, 4))
	old := selectAll(t, db, store.Select{Scope: store.Scope{Filter: store.Eq(store.FieldTraceID, "trace-4")}})
	if len(old) != 20 || old[0].Text(store.FieldPayloadsExpired) != "attr.prompt" {
		t.Errorf("%d spans of the oldest day, expired: %q", len(old), old[0].Text(store.FieldPayloadsExpired))
	}
	st, err := db.Stats(t.Context())
	if err != nil || st.Evicted != 40 || st.ReadOnly {
		t.Errorf("stats %+v, %v", st, err)
	}

	// The present day alone is too much: all else goes, and writers are told to come again.
	tidy(used / 20)
	sameDays(t, db, names(now, 0), names(now, 0))
	if got := len(selectAll(t, db, store.Select{})); got != 20 {
		t.Errorf("%d spans are left", got)
	}
	_, err = db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "1", now.UnixNano())})
	if _, again := signal.RetryAfter(err); !errors.Is(err, store.ErrReadOnly) || !again {
		t.Errorf("write to a full store: %v", err)
	}

	// With more room it takes rows again, but none of an evicted day.
	tidy(2 * used)
	rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{
		span("t", "1", now.UnixNano()), span("t", "2", now.Add(-2*day).UnixNano()),
	})
	if err != nil || rejected.Items != 1 || !strings.Contains(rejected.Message(), "evicted") {
		t.Errorf("rejected %+v, %v", rejected, err)
	}
}

func TestRetention(t *testing.T) {
	now := time.Now().UTC()
	var clock atomic.Int64 // the store looks at it, too
	clock.Store(now.UnixNano())
	dir := t.TempDir()
	cfg := Config{Retention: 4 * day, PayloadRetention: 2 * day, Clock: func() time.Time { return time.Unix(0, clock.Load()) }}
	db := openWith(t, dir, cfg)
	writeDays(t, db, now, 2)
	clock.Store(now.Truncate(day).Add(3 * day).UnixNano())
	if err := db.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameDays(t, db, []string{}, names(now, 0, 1))
	if got := len(selectAll(t, db, store.Select{})); got != 40 {
		t.Errorf("%d spans within their retention", got)
	}
	clock.Store(now.Truncate(day).Add(4*day + time.Hour).UnixNano())
	if err := db.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameDays(t, db, []string{}, names(now, 0))
	rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "1", now.Add(-day).UnixNano())})
	if err != nil || rejected.Items != 1 || !strings.Contains(rejected.Message(), "retention") {
		t.Errorf("rejected %+v, %v", rejected, err)
	}
	if st, err := db.Stats(t.Context()); err != nil || st.Evicted != 0 {
		t.Errorf("what is past its retention is not evicted: %+v, %v", st, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openWith(t, dir, cfg)
	sameDays(t, db, []string{}, names(now, 0))
}

func TestFreeSpaceFloor(t *testing.T) {
	db := openWith(t, t.TempDir(), Config{})
	write(t, db, span("t", "1", base))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openWith(t, db.dir, Config{MinFreeBytes: 1 << 60})
	_, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "2", base)})
	if _, again := signal.RetryAfter(err); !errors.Is(err, store.ErrReadOnly) || !again || db.keeper.refused.Load() != 1 {
		t.Errorf("write below the floor: %v", err)
	}
	sameRows(t, selectAll(t, db, store.Select{}), []store.Row{span("t", "1", base)})
	if st, err := db.Stats(t.Context()); err != nil || !st.ReadOnly {
		t.Errorf("stats %+v, %v", st, err)
	}
}

// TestFreeSpaceFloorOfTheLog: with storage nodes it is the log that needs the disk, here for rows that no node takes.
func TestFreeSpaceFloorOfTheLog(t *testing.T) {
	db := openWith(t, t.TempDir(), Config{Nodes: []string{"127.0.0.1:1"}}) // nobody is there
	at := time.Now().UnixNano()                                            // and nobody is asked for rows since the start
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "1", at)}); err != nil {
		t.Fatal(err)
	}
	size := db.Log().Bytes
	db.cfg.MinFreeBytes = 1 << 60
	_, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "2", at)})
	if _, again := signal.RetryAfter(err); !errors.Is(err, store.ErrReadOnly) || !again || db.keeper.refused.Load() != 1 {
		t.Errorf("write below the floor: %v", err)
	}
	if got := db.Log().Bytes; got != size {
		t.Errorf("the log went from %d to %d bytes with what was refused", size, got)
	}
	if st, err := db.Stats(t.Context()); err != nil || !st.ReadOnly {
		t.Errorf("stats %+v, %v", st, err)
	}
	db.cfg.MinFreeBytes = 1 // there is room again
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "2", at)}); err != nil {
		t.Error(err)
	}
	if st, err := db.Stats(t.Context()); err != nil || st.ReadOnly {
		t.Errorf("stats %+v, %v", st, err)
	}
}
