package eventdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const leaked = "sk-live-8c1fd3"

// leak writes spans of which every second one has the secret, and returns all as they are and those two as they are to be.
func leak(t *testing.T, db *DB) (before, clean []store.Row) {
	t.Helper()
	for i := range 4 {
		text := strings.Repeat(fmt.Sprintf("nothing to see in %d. ", i), 60)
		if i%2 == 1 {
			text += leaked
		}
		r := span(fmt.Sprint("t", i), "x", base+int64(i), field("attr.prompt", store.String(text)), field("attr.short", store.String(text[len(text)-30:])))
		before = append(before, r)
		if i%2 == 1 {
			c := *r.Clone()
			for j := range c.Fields {
				c.Fields[j].Value = store.String(strings.ReplaceAll(c.Fields[j].Value.Text(), leaked, "[scrubbed]"))
			}
			clean = append(clean, c)
		}
	}
	write(t, db, before...)
	return before, clean
}

func replaceIn(db *DB, rows []store.Row) (store.Replaced, error) {
	return db.Replace(context.Background(), signal.DefaultProject, store.KindSpan, rows)
}

// scrubbedRows are all rows after their replacement.
func scrubbedRows(before, clean []store.Row) []store.Row {
	return []store.Row{before[0], clean[0], before[2], clean[1]}
}

func oldestFirst() store.Select { return store.Select{Order: store.OldestFirst} }

// begun leaves a replacement on disk as a crash does: it is written down, and nothing more was done.
func begun(t *testing.T, db *DB, rows []store.Row) *tombstone {
	t.Helper()
	tenant, _ := db.projects.find(signal.DefaultProject)
	c, err := db.chooseRows(t.Context(), signal.DefaultProject, tenant, store.KindSpan, rows)
	if err != nil {
		t.Fatal(err)
	}
	stone, err := db.beginReplacement(signal.DefaultProject, store.KindSpan, c)
	if err != nil {
		t.Fatal(err)
	}
	return stone
}

// removed goes on to where the stored rows are gone and the new ones are not written.
func removed(t *testing.T, db *DB, stone *tombstone) {
	t.Helper()
	tenant, _ := db.projects.find(signal.DefaultProject)
	if _, _, err := db.prepareReplacement(stone); err != nil {
		t.Fatal(err)
	}
	if err := db.purge(t.Context(), tenant, stone); err != nil {
		t.Fatal(err)
	}
}

// noneKept wants no replacement to be under way and no content of one to be on disk.
func noneKept(t *testing.T, db *DB) {
	t.Helper()
	if n := len(db.deletions.pending()); n > 0 {
		t.Errorf("%d replacements are pending", n)
	}
	files, err := os.ReadDir(db.kept.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(files) > 0 {
		t.Errorf("%d files of rows are left, %v", len(files), err)
	}
}

// TestScrubbedIsGoneFromDisk: what a replacement took out is in no file any more, and what it wrote is in no file of its own.
func TestScrubbedIsGoneFromDisk(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, dir)
	before, clean := leak(t, db)
	if err := db.persist(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(holds(t, dir, leaked)) < 2 {
		t.Fatal("the search finds nothing where something is")
	}
	if done, err := replaceIn(db, clean); err != nil || done.Rows != 2 {
		t.Fatalf("replaced %+v, %v", done, err)
	}
	if left := holds(t, dir, leaked); len(left) > 0 {
		t.Errorf("the secret is still in %q", left)
	}
	noneKept(t, db)
	add(t, db, before...) // repeats of what was replaced
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
}

// TestReplacementAfterCrash ends the process at each step of a replacement: after the next start the rows are there once,
// as they are to be, and the secret is on no disk.
func TestReplacementAfterCrash(t *testing.T) {
	f := func(name string, wantOld bool, crash func(t *testing.T, db *DB, clean []store.Row)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // deletions wait more than they work
			dir := t.TempDir()
			db := unflushed(t, dir, Config{})
			before, clean := leak(t, db)
			crash(t, db, clean)
			again := unflushed(t, crashed(t, dir), Config{})
			for range 2 {
				if err := again.Flush(); err != nil {
					t.Fatal(err)
				}
				want := scrubbedRows(before, clean)
				if wantOld {
					want = before
				}
				sameRows(t, selectAll(t, again, oldestFirst()), want)
				if left := holds(t, again.dir, leaked); len(left) > 0 != wantOld {
					t.Errorf("the secret is in %q", left)
				}
				noneKept(t, again)
				add(t, again, before...) // senders repeat what had no answer
			}
		})
	}
	f("before it was written down", true, func(t *testing.T, db *DB, clean []store.Row) {
		if err := db.kept.put("orphan", clean); err != nil {
			t.Fatal(err)
		}
	})
	f("when it was written down", false, func(t *testing.T, db *DB, clean []store.Row) { begun(t, db, clean) })
	f("when the rows were removed", false, func(t *testing.T, db *DB, clean []store.Row) {
		removed(t, db, begun(t, db, clean))
		if rows := selectAll(t, db, store.Select{}); len(rows) != 2 {
			t.Fatalf("%d rows are left, want those without the secret", len(rows))
		}
	})
	f("when a part was written", false, func(t *testing.T, db *DB, clean []store.Row) {
		removed(t, db, begun(t, db, clean))
		if err := db.writeAgain(signal.DefaultProject, clean[:1]); err != nil {
			t.Fatal(err)
		}
	})
	f("when it was done", false, func(t *testing.T, db *DB, clean []store.Row) {
		stone := begun(t, db, clean)
		removed(t, db, stone)
		if err := errors.Join(db.writeAgain(signal.DefaultProject, clean), db.deletions.done(stone)); err != nil {
			t.Fatal(err)
		}
	})
	f("when its rows could not be written down", true, func(t *testing.T, db *DB, clean []store.Row) {
		if err := db.kept.remove(begun(t, db, clean).ID); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReplaceRefused: a store that takes no writes removes nothing.
func TestReplaceRefused(t *testing.T) {
	f := func(name string, refuse func(t *testing.T, db *DB) (allow func())) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // deletions wait more than they work
			db, _ := onDisk(t)
			before, clean := leak(t, db)
			allow := refuse(t, db)
			done, err := replaceIn(db, clean)
			if _, again := signal.RetryAfter(err); !again || done.Rows != 0 {
				t.Errorf("replaced %+v, %v", done, err)
			}
			sameRows(t, selectAll(t, db, oldestFirst()), before)
			allow()
			noneKept(t, db)
			if done, err := replaceIn(db, clean); err != nil || done.Rows != 2 {
				t.Fatalf("later: replaced %+v, %v", done, err)
			}
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
			sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
		})
	}
	f("full", func(_ *testing.T, db *DB) func() {
		db.keeper.full.Store(true)
		return func() { db.keeper.full.Store(false) }
	})
	f("log failing", func(t *testing.T, db *DB) func() {
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		return inTheWay(t, filepath.Join(db.dir, dirWAL))
	})
	f("rows can't be written down", func(t *testing.T, db *DB) func() { return inTheWay(t, db.kept.dir) })
	f("no tombstone", func(t *testing.T, db *DB) func() {
		if err := os.MkdirAll(db.deletions.path, 0o750); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Remove(db.deletions.path); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// onDisk opens a store on a disk of which a test says how much is free, and returns how to say so.
func onDisk(t *testing.T) (db *DB, free func(bytes int64)) {
	t.Helper()
	disk := &fakeDisk{}
	disk.bytes.Store(1 << 30)
	db = openWith(t, t.TempDir(), disk.config())
	return db, func(bytes int64) {
		disk.bytes.Store(bytes)
		db.room.look()
	}
}

// TestReplaceBelowTheFloor: what TestReplaceRefused says holds for a disk that is short.
func TestReplaceBelowTheFloor(t *testing.T) {
	db, free := onDisk(t)
	before, clean := leak(t, db)
	free(50 << 20)
	done, err := replaceIn(db, clean)
	if _, again := signal.RetryAfter(err); !again || !errors.Is(err, store.ErrReadOnly) || done.Rows != 0 {
		t.Errorf("replaced %+v, %v", done, err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), before)
	free(1 << 30)
	noneKept(t, db)
	if done, err := replaceIn(db, clean); err != nil || done.Rows != 2 {
		t.Fatalf("later: replaced %+v, %v", done, err)
	}
}

// setEvents gives a store another engine and returns the one that it had. Nobody else asks the store but its keeper.
func setEvents(db *DB, e engine) engine {
	db.keeper.tidying.Lock()
	defer db.keeper.tidying.Unlock()
	before := db.events
	db.events = e
	return before
}

// inTheWay puts a file in the place of a folder, until the function it returns is called.
func inTheWay(t *testing.T, dir string) func() {
	t.Helper()
	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// TestReplacementWaitsForTheDisk: rows whose replacement the store could not end are kept aside, over a start as well, and come
// back when it can write again.
func TestReplacementWaitsForTheDisk(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	before, clean := leak(t, db)
	removed(t, db, begun(t, db, clean))
	full := unflushed(t, crashed(t, dir), Config{MinFreeBytes: 1 << 60})
	if n := len(selectAll(t, full, store.Select{})); n != 2 {
		t.Errorf("%d rows while nothing can be written", n)
	}
	full.retryPending(t.Context())
	if n := len(full.deletions.pending()); n != 1 {
		t.Fatalf("%d replacements are pending on a full disk", n)
	}

	db.keeper.full.Store(true)
	db.retryPending(t.Context())
	if n := len(db.deletions.pending()); n != 1 {
		t.Fatalf("%d replacements are pending in a full folder", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openWith(t, dir, Config{})
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
	noneKept(t, db)
}

// fillsUp is an engine whose disk fills up when it deletes something.
type fillsUp struct {
	engine
	fill func()
}

func (e fillsUp) DeleteRunTask(ctx context.Context, id string, at int64, tenants []logstorage.TenantID, f *logstorage.Filter) error {
	e.fill()
	return e.engine.DeleteRunTask(ctx, id, at, tenants, f)
}

// TestDiskFullInTheMiddle: the store stops taking writes when the rows are removed. Whoever asked is told, and asking again brings
// them back.
func TestDiskFullInTheMiddle(t *testing.T) {
	db, free := onDisk(t)
	before, clean := leak(t, db)
	inner := setEvents(db, fillsUp{db.events, func() { free(50 << 20) }})
	for range 2 { // the second time nothing is removed
		done, err := replaceIn(db, clean)
		if _, again := signal.RetryAfter(err); !again || !errors.Is(err, store.ErrReadOnly) || done.Rows != 0 {
			t.Errorf("replaced %+v, %v", done, err)
		}
	}
	if n := len(selectAll(t, db, store.Select{})); n != 2 {
		t.Errorf("%d rows, want those that were not replaced", n)
	}
	setEvents(db, inner)
	free(1 << 30)
	if done, err := replaceIn(db, clean); err != nil || done.Rows != 2 {
		t.Errorf("replaced %+v, %v", done, err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
	noneKept(t, db)
}

// TestReplacementEndsByItself: a store that can write again ends what waited beside its checkpoints, with nobody asking.
func TestReplacementEndsByItself(t *testing.T) {
	db := openWith(t, t.TempDir(), Config{CheckpointEvery: 10 * time.Millisecond})
	before, clean := leak(t, db)
	db.keeper.full.Store(true)
	db.deletions.running.Lock()
	removed(t, db, begun(t, db, clean))
	db.deletions.running.Unlock()
	db.keeper.full.Store(false)
	for end := time.Now().Add(time.Minute); len(db.deletions.pending()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("rows wait for a store that can write")
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
}

// TestDeleteReachesKeptRows deletes a row while its replacement waits for the disk: it does not come back, here or from a backup.
func TestDeleteReachesKeptRows(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	before, clean := leak(t, db)
	removed(t, db, begun(t, db, clean))
	from := backupTo(t, db)
	db.keeper.full.Store(true)
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "t1")}
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 1 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if left := holds(t, dir, "nothing to see in 1."); len(left) > 0 {
		t.Errorf("what was deleted is still in %q", left)
	}
	db.keeper.full.Store(false)
	db.retryPending(t.Context())
	want := []store.Row{before[0], before[2], clean[1]}
	check := func(db *DB, want []store.Row) {
		t.Helper()
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, selectAll(t, db, oldestFirst()), want)
		noneKept(t, db)
	}
	check(db, want)
	check(restored(t, from), scrubbedRows(before, clean))
	record, err := db.Deletions()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, fileDeletions), record, 0o640); err != nil {
		t.Fatal(err)
	}
	again := restored(t, from)
	check(again, want)
	if left := holds(t, again.dir, "nothing to see in 1."); len(left) > 0 {
		t.Errorf("what was deleted came back from a backup into %q", left)
	}
}

// TestRepeatWhileReplaced: senders repeat rows while these are away. The store has started since it had them first.
func TestRepeatWhileReplaced(t *testing.T) {
	dir := t.TempDir()
	db := openTest(t, dir)
	before, clean := leak(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = unflushed(t, dir, Config{})
	removed(t, db, begun(t, db, clean))
	add(t, db, before...)
	if err := db.writeReplacement(t.Context(), signal.DefaultProject, clean); err != nil {
		t.Fatal(err)
	}
	add(t, db, before...)
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), scrubbedRows(before, clean))
	db.retryPending(t.Context())
	noneKept(t, db)
}

// TestLaterTombstoneHasTheLastWord: a row that was deleted while its replacement waited does not come back, even where it could
// not be taken out of what is kept aside.
func TestLaterTombstoneHasTheLastWord(t *testing.T) {
	db := unflushed(t, t.TempDir(), Config{})
	before, clean := leak(t, db)
	removed(t, db, begun(t, db, clean))
	d := newDoomed()
	d.ids = []string{clean[0].ID}
	stone := newTombstone(signal.DefaultProject, store.KindSpan, d, time.Now())
	if err := errors.Join(db.deletions.add(stone), db.bury(t.Context(), stone)); err != nil {
		t.Fatal(err)
	}
	db.retryPending(t.Context())
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, db, oldestFirst()), []store.Row{before[0], before[2], clean[1]})
	noneKept(t, db)
}

// TestRestoreScrubsAgain: a backup from before a scrub loses the rows of the scrub when it has the record of it, and one from after it
// keeps them.
func TestRestoreScrubsAgain(t *testing.T) {
	db := openTest(t, t.TempDir())
	before, clean := leak(t, db)
	from := backupTo(t, db)
	if _, err := replaceIn(db, clean); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, restored(t, backupTo(t, db)), oldestFirst()), scrubbedRows(before, clean))
	record, err := db.Deletions()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, fileDeletions), record, 0o640); err != nil {
		t.Fatal(err)
	}
	old := restored(t, from)
	sameRows(t, selectAll(t, old, oldestFirst()), []store.Row{before[0], before[2]})
	if left := holds(t, old.dir, leaked); len(left) > 0 {
		t.Errorf("the secret came back from a backup into %q", left)
	}
}

// TestReplaceOverTime: the clock moves between the question and the replacement. What is past its retention goes, and what is
// further ahead than is accepted stays.
func TestReplaceOverTime(t *testing.T) {
	now := time.Now().UTC()
	var clock atomic.Int64 // the store looks at it, too
	clock.Store(now.UnixNano())
	db := openWith(t, t.TempDir(), Config{Retention: 4 * day, Clock: func() time.Time { return time.Unix(0, clock.Load()) }})
	at := func(id string, ago time.Duration) store.Row {
		return span(id, "x", now.Add(-ago).UnixNano(), field("attr.text", store.String("old "+id)))
	}
	write(t, db, at("a", 4*day-time.Minute), at("b", day), at("ahead", -day))
	replaceAll := func(text string, want store.Replaced) []store.Row {
		t.Helper()
		rows := []store.Row{at("a", 4*day-time.Minute), at("b", day), at("ahead", -day)}
		for i := range rows {
			rows[i].Fields[len(rows[i].Fields)-1].Value = store.String(text)
		}
		done, err := replaceIn(db, rows)
		if err != nil || !cmp.Equal(done, want) {
			t.Errorf("replaced %+v, %v, want %+v", done, err, want)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	clock.Store(now.Add(-2 * day).UnixNano())
	want := replaceAll("first", store.Replaced{Rows: 3})
	sameRows(t, selectAll(t, db, oldestFirst()), want)
	clock.Store(now.Add(time.Hour).UnixNano())
	want = replaceAll("second", store.Replaced{Rows: 2, Expired: 1})
	sameRows(t, selectAll(t, db, oldestFirst()), want[1:])
	clock.Store(now.UnixNano())
	if n := len(selectAll(t, db, store.Select{})); n != 2 {
		t.Errorf("%d rows: one came back that was past its retention", n)
	}
}

// TestReplacedIdsSurviveACrash: an id that JSON can not hold is found after a crash all the same.
func TestReplacedIdsSurviveACrash(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{})
	odd := func(text string) store.Row {
		return store.Row{Kind: store.KindSpan, ID: "\xff\xfe odd \x00", Time: base, Fields: []store.Field{field("attr.text", store.String(text))}}
	}
	write(t, db, odd(leaked))
	begun(t, db, []store.Row{odd("clean")})
	again := unflushed(t, crashed(t, dir), Config{})
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, again, store.Select{}), []store.Row{odd("clean")})
}
