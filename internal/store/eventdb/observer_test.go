package eventdb

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// counter counts rows by their id, in the order in which it saw them.
type counter struct {
	mu    sync.Mutex
	Seen  map[string]int
	Order []string
	rows  []store.Row // of this life
}

func (c *counter) Committed(_ signal.Project, rows []store.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Seen == nil {
		c.Seen = map[string]int{}
	}
	for _, r := range rows {
		c.Seen[r.ID]++
		c.Order = append(c.Order, r.ID)
		c.rows = append(c.rows, *r.Clone())
	}
}

func (c *counter) Save(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.NewEncoder(w).Encode(c)
}

func (c *counter) Load(state []byte) error { return json.Unmarshal(state, c) }

func TestObserverGetsWhatItsStateLacks(t *testing.T) {
	dir := t.TempDir()
	first := &counter{}
	db := unflushed(t, dir, Config{Observer: first})
	prompt := field("attr.prompt", store.String("["+strings.Repeat(`{"role":"user","content":"`+strings.Repeat("hello ", 200)+`"},`, 3)+`{}]`))
	before, after := span("t", "1", base), span("t", "2", base+1, prompt, field("attr.n", store.Double(1.10)))
	add(t, db, before)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, db, after)
	add(t, db, before, after) // repeats
	second := &counter{}
	to := crashed(t, dir)
	again := unflushed(t, to, Config{Observer: second})
	if diff := cmp.Diff(first.Order, second.Order); diff != "" {
		t.Errorf("order (-before +after the crash):\n%s", diff)
	}
	sameRows(t, second.rows, []store.Row{after}) // whole, with its prompt, and only what the state lacked
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	third := &counter{}
	_ = unflushed(t, to, Config{Observer: third})
	if diff := cmp.Diff(first.Order, third.Order); diff != "" || len(third.rows) > 0 {
		t.Errorf("after a clean stop %d rows came again:\n%s", len(third.rows), diff)
	}
}

// TestCountersSurviveKill9 kills a writing process at random moments. In the end every acknowledged row is stored and
// counted, and none twice.
func TestCountersSurviveKill9(t *testing.T) {
	if dir := os.Getenv("EVENTDB_KILLED_DIR"); dir != "" {
		writeUntilKilled(t, dir, os.Getenv("EVENTDB_KILLED_ROUND"))
		return
	}
	dir := t.TempDir()
	rounds := 6
	acked := map[string]bool{}
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCountersSurviveKill9$")
		cmd.Env = append(os.Environ(), "EVENTDB_KILLED_DIR="+dir, fmt.Sprintf("EVENTDB_KILLED_ROUND=%d", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, life := bufio.NewScanner(out), time.Time{}
		for lines.Scan() {
			id, ok := strings.CutPrefix(lines.Text(), "acked ")
			if !ok {
				continue
			}
			acked[id] = true
			if life.IsZero() {
				life = time.Now().Add(time.Duration(rand.IntN(700)) * time.Millisecond)
			}
			if time.Now().After(life) {
				_ = cmd.Process.Kill() // what it wrote into the pipe before is still read
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
	}
	c := &counter{}
	db := openWith(t, dir, Config{Observer: c})
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	stored := map[string]int{}
	for _, r := range selectAll(t, db, store.Select{}) {
		stored[r.ID]++
	}
	if len(acked) < rounds {
		t.Fatalf("only %d rows were acknowledged", len(acked))
	}
	for id := range acked {
		if stored[id] != 1 || c.Seen[id] != 1 {
			t.Errorf("acknowledged row %s: stored %d times, counted %d times", id, stored[id], c.Seen[id])
		}
	}
	for id, n := range c.Seen {
		if n != 1 || stored[id] != 1 {
			t.Errorf("row %s: stored %d times, counted %d times", id, stored[id], n)
		}
	}
	t.Logf("%d acknowledged, %d stored, %d counted", len(acked), len(stored), len(c.Seen))
}

// writeUntilKilled writes rows from several goroutines, one in five of them twice, with frequent checkpoints.
func writeUntilKilled(t *testing.T, dir, round string) {
	db, err := Open(dir, Config{Retention: century / 2, Observer: &counter{}, CheckpointEvery: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", round, w, i)
				r := span("t"+round, id, base+int64(i))
				for range 1 + i%5/4 {
					if _, err := db.Write(context.Background(), signal.DefaultProject, []store.Row{r}); err != nil {
						t.Error(err)
						return
					}
				}
				out.Lock()
				fmt.Println("acked " + r.ID)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestObserverSeesTheOrderOfTheLog writes from many goroutines and compares the Observer's order with the log's.
func TestObserverSeesTheOrderOfTheLog(t *testing.T) {
	dir := t.TempDir()
	live, replayed := &counter{}, &counter{}
	db := unflushed(t, dir, Config{Observer: live})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				add(t, db, span("t", fmt.Sprintf("%d-%d", w, i), base+int64(i)))
			}
		})
	}
	wg.Wait()
	_ = unflushed(t, crashed(t, dir), Config{Observer: replayed})
	if !slices.Equal(live.Order, replayed.Order) || len(live.Order) != 160 {
		t.Errorf("%d rows live, %d replayed, in another order", len(live.Order), len(replayed.Order))
	}
}

// TestRewrittenRowsAreNoNews: what takes the place of counted rows is counted by nobody, not even after a crash.
func TestRewrittenRowsAreNoNews(t *testing.T) {
	dir := t.TempDir()
	first := &counter{}
	db := unflushed(t, dir, Config{Observer: first})
	secret := span("t", "1", base, field("attr.key", store.String("secret")))
	clean := span("t", "1", base, field("attr.key", store.String("clean")))
	add(t, db, secret)
	if done, err := db.Replace(t.Context(), signal.DefaultProject, store.KindSpan, []store.Row{clean}); err != nil || done.Rows != 1 {
		t.Fatalf("replaced %+v, %v", done, err)
	}
	second := &counter{}
	again := unflushed(t, crashed(t, dir), Config{Observer: second})
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, selectAll(t, again, store.Select{}), []store.Row{clean})
	for name, c := range map[string]*counter{"running": first, "after a crash": second} {
		if diff := cmp.Diff(map[string]int{secret.ID: 1}, c.Seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// forgetter is a counter that keeps the names of rows until they are deleted.
type forgetter struct {
	counter
	Kept      map[string]string // by id: trace, span, team and task
	deleted   []string
	rewritten []string
}

func nameOf(r *store.Row) string {
	return strings.Join([]string{r.Text(store.FieldTraceID), r.Text(store.FieldSpanID), r.Text(store.FieldTeam), r.Text(store.FieldTaskID)}, "/")
}

func (f *forgetter) Committed(p signal.Project, rows []store.Row) {
	f.counter.Committed(p, rows)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Kept == nil {
		f.Kept = map[string]string{}
	}
	for i := range rows {
		f.Kept[rows[i].ID] = nameOf(&rows[i])
	}
}

func (f *forgetter) Deleted(_ signal.Project, rows []store.Row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range rows {
		if want := f.Kept[rows[i].ID]; nameOf(&rows[i]) != want {
			f.deleted = append(f.deleted, fmt.Sprintf("%s is called %s, not %s", rows[i].ID, nameOf(&rows[i]), want))
		}
		f.deleted = append(f.deleted, string(rows[i].Kind)+" "+rows[i].ID)
		delete(f.Kept, rows[i].ID)
	}
}

func (f *forgetter) Rewritten(_ signal.Project, rows []store.Row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rows {
		f.rewritten = append(f.rewritten, r.ID)
		f.Kept[r.ID] = nameOf(&r)
	}
}

func (f *forgetter) Save(w io.Writer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return json.NewEncoder(w).Encode(f)
}

func (f *forgetter) Load(state []byte) error { return json.Unmarshal(state, f) }

// TestObserverIsToldOfDeletions: it hears of each deleted row by its names, and the state that is saved then has nothing
// of them, on disk as well. A row that is written again is news, a rewritten one is not.
func TestObserverIsToldOfDeletions(t *testing.T) {
	dir := t.TempDir()
	first := &forgetter{}
	db := unflushed(t, dir, Config{Observer: first})
	task := func(name string) []store.Field {
		return []store.Field{field(store.FieldTeam, store.String("press")), field(store.FieldTaskID, store.String(name))}
	}
	start := span("t", "1", base, task("the secret task")...)
	start.Kind = store.KindStart
	gone := span("t", "2", base+1, task("the secret task")...)
	revised := span("t", "3", base+2, append(task("the secret task"), field(store.FieldRevision, store.Int(1)))...)
	other := span("u", "4", base+3, task("another task")...)
	add(t, db, start, gone, revised, other)
	add(t, db, span("t", "3", base+2, append(task("the secret task"), field(store.FieldRevision, store.Int(2)))...))
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := holds(t, dir, "the secret task"); !slices.ContainsFunc(held, func(path string) bool { return strings.HasSuffix(path, fileCheckpoint) }) {
		t.Fatalf("the saved state does not hold what is looked for: %q", held)
	}
	remove := func(kind store.Kind, want int64) {
		t.Helper()
		scope := store.Scope{Kind: kind, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "t")}
		if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); err != nil || n != want {
			t.Fatalf("deleted %d, %v", n, err)
		}
	}
	remove(store.KindSpan, 2)
	remove(store.KindStart, 1)
	slices.Sort(first.deleted)
	if diff := cmp.Diff([]string{"span t2", "span t3", "start t1"}, first.deleted); diff != "" {
		t.Errorf("told of (-want +got):\n%s", diff)
	}
	if held := holds(t, dir, "the secret task"); len(held) > 0 {
		t.Errorf("what was deleted is still in %q", held)
	}
	if _, err := db.Replace(t.Context(), signal.DefaultProject, store.KindSpan, []store.Row{other}); err != nil {
		t.Fatal(err)
	}
	if last := first.deleted[len(first.deleted)-1]; last != "span u4" {
		t.Errorf("what a row takes the place of is told as %q", last)
	}
	add(t, db, gone)
	if diff := cmp.Diff([]string{"u4"}, first.rewritten); diff != "" {
		t.Errorf("rewritten (-want +got):\n%s", diff)
	}
	if first.Seen["u4"] != 1 || first.Seen["t2"] != 2 {
		t.Errorf("committed %v times", first.Seen)
	}
}

// TestObserverIsToldOfDeletionAfterCrash: a state that was saved before a deletion which a crash interrupted hears of it.
func TestObserverIsToldOfDeletionAfterCrash(t *testing.T) {
	dir := t.TempDir()
	db := unflushed(t, dir, Config{Observer: &forgetter{}})
	add(t, db, span("a", "1", base), span("b", "2", base+1))
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := newDoomed()
	d.ids, d.traces = []string{"a1"}, map[string]struct{}{"a": {}}
	if err := db.deletions.add(newTombstone(signal.DefaultProject, store.KindSpan, d, time.Now())); err != nil {
		t.Fatal(err)
	}
	again := &forgetter{}
	_ = unflushed(t, crashed(t, dir), Config{Observer: again})
	if diff := cmp.Diff(map[string]string{"b2": "b/2//"}, again.Kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
