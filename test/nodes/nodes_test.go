// Package nodes tests the event store on storage nodes: real victoria-logs processes on loopback.
package nodes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/storetest"
	"github.com/mindscope/mindscope/test/harness"
)

// settle fits nodes that flush once a second: a row is on disk within 1 s of buffer, 1 s of age and 5 s of looking.
const settle = 8 * time.Second

// program is the storage node's program, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "storagenode-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "victoria-logs")
	cmd := exec.Command("go", "build", "-o", path, "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	cmd.Dir = "../storagenode"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build storage node: %w\n%s", err, out)
	}
	return path, nil
})

// TestMain makes fewer of the random operations than for a store in this process, where they take a tenth of the time;
// -rapid.checks has the last word.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	flag.Parse()
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a temporary folder
	}
	os.Exit(code)
}

// storageNode is a process that can be killed and started again with its address and folder.
type storageNode struct {
	t         testing.TB
	addr, dir string
	flags     []string // beside the common ones, or in place of them
	cmd       *exec.Cmd
}

func startNodes(t testing.TB, n int, flags ...string) []*storageNode {
	t.Helper()
	var out []*storageNode
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		nd := &storageNode{t: t, addr: l.Addr().String(), dir: t.TempDir(), flags: flags}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		nd.start()
		t.Cleanup(func() { nd.kill(syscall.SIGKILL) })
		out = append(out, nd)
	}
	return out
}

func (nd *storageNode) start() {
	nd.t.Helper()
	path, err := program()
	if err != nil {
		nd.t.Fatal(err)
	}
	nd.cmd = exec.Command(path, "-storageDataPath="+nd.dir, "-httpListenAddr="+nd.addr, "-retentionPeriod=100y",
		"-futureRetention=3d", "-inmemoryDataFlushInterval=1s", "-internaldelete.enable", "-insert.maxFieldsPerLine=2000", "-loggerLevel=ERROR",
		"-storage.minFreeDiskSpaceBytes=1MB", "-memory.allowedBytes=128MB")
	nd.cmd.Args = append(nd.cmd.Args, nd.flags...)
	nd.cmd.Stderr = os.Stderr
	if err := nd.cmd.Start(); err != nil {
		nd.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", nd.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			nd.t.Fatalf("storage node: %v", err)
		}
	}
}

func (nd *storageNode) kill(how syscall.Signal) {
	if nd.cmd == nil {
		return
	}
	_ = nd.cmd.Process.Signal(how) // it may be gone
	_ = nd.cmd.Wait()              // killed is no success
	nd.cmd = nil
}

func addrs(nodes []*storageNode) []string {
	var out []string
	for _, nd := range nodes {
		out = append(out, nd.addr)
	}
	return out
}

// open opens a store on nodes; each folder is an account of its own.
func open(t testing.TB, dir string, nodes []*storageNode) *eventdb.DB {
	t.Helper()
	h := fnv.New32a()
	_, _ = h.Write([]byte(dir))
	db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(nodes), NodeAccount: h.Sum32() >> 2, NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSuite(t *testing.T) {
	nodes := startNodes(t, 3)
	storetest.Run(t, func(t testing.TB, dir string) store.Events { return open(t, dir, nodes) }, storetest.Options{})
}

func span(trace string, i int, at time.Time) store.Row {
	r := store.Row{Kind: store.KindSpan, ID: fmt.Sprintf("%s.%d", trace, i), Time: at.UnixNano() + int64(i)}
	r.Add(store.FieldTraceID, store.String(trace))
	r.Add(store.FieldService, store.String("team"))
	r.Add("attr.prompt", store.String(strings.Repeat(fmt.Sprintf("prompt %d of %s ", i, trace), 60)))
	return r
}

// count returns how often each row is found, and the error at the end.
func count(ctx context.Context, db *eventdb.DB) (map[string]int, error) {
	found := map[string]int{}
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}
	for r, err := range db.Select(ctx, signal.DefaultProject, q) {
		if err != nil {
			return found, err
		}
		found[strings.Clone(r.ID)]++
		if !strings.HasPrefix(r.Text("attr.prompt"), "prompt ") && r.Text(store.FieldPayloadsExpired) != "attr.prompt" {
			return found, fmt.Errorf("row %s without its prompt: %q", r.ID, r.Text("attr.prompt"))
		}
	}
	return found, nil
}

// TestKilledWhileWriting: a node is killed in the middle of writes and comes back; what was acknowledged is there, once.
func TestKilledWhileWriting(t *testing.T) {
	nodes := startNodes(t, 3)
	db := open(t, t.TempDir(), nodes)
	defer db.Close()
	at := time.Now().Add(-time.Minute)
	var acked sync.Map
	var n atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				rows := []store.Row{span(fmt.Sprintf("trace-%d-%d", w, i), 0, at), span(fmt.Sprintf("trace-%d-%d", w, i), 1, at)}
				if rejected, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
					t.Error(rejected, err)
					return
				}
				for _, r := range rows {
					acked.Store(r.ID, true)
					n.Add(1)
				}
			}
		})
	}
	reach := func(want int64) {
		for end := time.Now().Add(30 * time.Second); n.Load() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d rows were acknowledged, want %d", n.Load(), want)
			}
		}
	}
	reach(500)
	nodes[1].kill(syscall.SIGKILL)
	reach(n.Load() + 500)
	nodes[1].start()
	reach(n.Load() + 500)
	nodes[2].kill(syscall.SIGTERM) // a restart that loses nothing: what is sent again is there already
	nodes[2].start()
	reach(n.Load() + 500)
	stop()
	wg.Wait()

	var found map[string]int
	for end := time.Now().Add(20 * time.Second); ; {
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		var err error
		if found, err = count(t.Context(), db); err == nil && len(found) >= int(n.Load()) || time.Now().After(end) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	lost, twice := 0, 0
	acked.Range(func(id, _ any) bool {
		switch k := found[id.(string)]; {
		case k == 0:
			lost++
		case k > 1:
			twice++
		}
		return true
	})
	t.Logf("%d rows acknowledged, %d found", n.Load(), len(found))
	if lost > 0 || twice > 0 {
		t.Errorf("of %d acknowledged rows %d are lost and %d are there twice", n.Load(), lost, twice)
	}
}

// TestKilledWhileReading: a node dies under a reader that has its first row and wants many more. The reader gets what the others
// have, and is told that it is partial; so is everybody who asks while the node is away.
func TestKilledWhileReading(t *testing.T) {
	f := func(name string, order store.Order, length int, step time.Duration) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedWhileReading(t, order, length, step)
		})
	}
	// The rows of 20 hours are three questions to the nodes or more.
	f("windows", store.Unordered, 900, 2*time.Minute)
	f("newest first", store.NewestFirst, 900, 2*time.Minute)
	// The rows are one question, their payloads three.
	f("payloads", store.Unordered, 60_000, time.Nanosecond)
}

func killedWhileReading(t *testing.T, order store.Order, length int, step time.Duration) {
	nodes := startNodes(t, 3)
	db := open(t, t.TempDir(), nodes)
	defer db.Close()
	const total = 600
	at := time.Now().Add(-21 * time.Hour)
	for i := range total / 10 {
		var rows []store.Row
		for k := range 10 {
			r := span(fmt.Sprintf("trace-%d", i), k, at.Add(time.Duration(i*10+k)*step))
			r.Add("attr.long", store.String(strings.Repeat(r.ID+" ", length/len(r.ID))))
			rows = append(rows, r)
		}
		if _, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Flush(), db.Checkpoint(t.Context())); err != nil { // the nodes have all on their disks
		t.Fatal(err)
	}
	// What was read stays in memory for a while: only the ids are looked at before.
	scope := store.Scope{Kind: store.KindSpan, Time: signal.TimeRange{Start: at.UnixNano(), End: at.Add(total*step + time.Second).UnixNano()}}
	if got, err := readAll(t, db, store.Select{Scope: scope, Fields: []string{store.FieldService}}, nil); err != nil || got.rows != total {
		t.Fatalf("with all nodes: %+v, %v", got, err)
	}
	q := store.Select{Scope: scope, Order: order}
	got, err := readAll(t, db, q, func() { nodes[0].kill(syscall.SIGKILL) })
	if !errors.Is(err, store.ErrPartial) {
		t.Errorf("killed in the middle of an answer: %+v, %v", got, err)
	}
	if got.rows == total && got.bare == 0 || got.rows == got.bare {
		t.Errorf("the reader had all or nothing, which proves nothing: %+v", got)
	}
	if got, err := readAll(t, db, q, nil); !errors.Is(err, store.ErrPartial) || got.rows == 0 || got.rows == total {
		t.Errorf("with a node away: %+v, %v", got, err)
	}
	_, err = db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: scope, Columns: []store.Column{{Func: store.CountRows}}})
	if !errors.Is(err, store.ErrPartial) {
		t.Errorf("a count with a node away: %v", err)
	}
	nodes[0].start()
	harness.Eventually(t, 20*time.Second, "all rows", func() error {
		if err := db.Flush(); err != nil {
			return err
		}
		got, err := readAll(t, db, q, nil)
		if err == nil && got != (readFigures{rows: total}) {
			err = fmt.Errorf("%+v", got)
		}
		return err
	})
}

// readFigures are what a reader got: rows, and those of them without their texts.
type readFigures struct{ rows, bare int }

// readAll reads to the end and returns the error there. It calls first when it has a row.
func readAll(t *testing.T, db *eventdb.DB, q store.Select, first func()) (readFigures, error) {
	t.Helper()
	var got readFigures
	seen := map[string]bool{}
	for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			return got, err
		}
		if got.rows++; got.rows == 1 && first != nil {
			first()
		}
		if seen[r.ID] {
			t.Errorf("row %s came twice", r.ID)
		}
		seen[strings.Clone(r.ID)] = true
		if r.Text("attr.prompt") == "" || r.Text("attr.long") == "" {
			got.bare++
		}
	}
	return got, nil
}

// TestFolderMovesOver: the events of an embedded store are a storage node's when they are in its folder, and its payloads
// those of a node that has payloads only.
func TestFolderMovesOver(t *testing.T) {
	dir := t.TempDir()
	embedded, err := eventdb.Open(dir, eventdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	old, more := []store.Row{span("trace", 0, at), span("trace", 1, at)}, []store.Row{span("trace", 1, at), span("trace", 2, at)}
	if _, err := embedded.Write(t.Context(), signal.DefaultProject, old); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Close(); err != nil {
		t.Fatal(err)
	}
	nodes, prompts := startNodes(t, 2), startNodes(t, 1, "-retentionPeriod=9d")
	nodes[0].takeOver(filepath.Join(dir, "events"))
	prompts[0].takeOver(filepath.Join(dir, "payloads"))
	db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(nodes), PayloadNodes: addrs(prompts), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	texts(t, db, old...)
	if found := withWords(t, db, "prompt 0 of trace"); len(found) != 1 || found[0] != "trace.0" {
		t.Errorf("the words of a prompt that was moved are in %q", found)
	}
	// A repeat of what was moved is one, and new spans of its trace come to it.
	if _, err := db.Write(t.Context(), signal.DefaultProject, more); err != nil {
		t.Fatal(err)
	}
	texts(t, db, old[0], more[0], more[1])

	// Who has the right to have it removed has it removed where it was moved to.
	removed := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "trace")}
	if n, err := db.Delete(t.Context(), signal.DefaultProject, removed); err != nil || n != 3 {
		t.Fatalf("removed %d rows, %v", n, err)
	}
	texts(t, db)
	for _, r := range []store.Row{old[0], old[1], more[1]} {
		hash := db.PayloadHash(signal.DefaultProject, r.Text("attr.prompt"))
		if _, err := db.Payload(t.Context(), signal.DefaultProject, hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the prompt of the removed row %s: %v", r.ID, err)
		}
	}
}

// TestFolderMovesWithoutPayloads: payloads that no node of their own has taken are not found, and their rows say so.
func TestFolderMovesWithoutPayloads(t *testing.T) {
	dir := t.TempDir()
	embedded, err := eventdb.Open(dir, eventdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Write(t.Context(), signal.DefaultProject, []store.Row{span("trace", 0, time.Now().Add(-time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Close(); err != nil {
		t.Fatal(err)
	}
	nodes := startNodes(t, 1)
	nodes[0].takeOver(filepath.Join(dir, "events"))
	db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(nodes), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows := 0
	for r, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows++; r.Text("attr.prompt") != "" || r.Text(store.FieldPayloadsExpired) != "attr.prompt" {
			t.Errorf("row %s has the prompt %.50q and says that %q is gone", r.ID, r.Text("attr.prompt"), r.Text(store.FieldPayloadsExpired))
		}
	}
	if rows != 1 {
		t.Errorf("%d rows", rows)
	}
}

// takeOver starts the node on the files of an embedded store.
func (nd *storageNode) takeOver(dir string) {
	nd.t.Helper()
	nd.kill(syscall.SIGTERM)
	if err := os.RemoveAll(nd.dir); err != nil {
		nd.t.Fatal(err)
	}
	if err := os.Rename(dir, nd.dir); err != nil {
		nd.t.Fatal(err)
	}
	nd.start()
}

// texts compares the stored rows' prompts with those of rows.
func texts(t *testing.T, db *eventdb.DB, rows ...store.Row) {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, r := range rows {
		want[r.ID] = r.Text("attr.prompt")
	}
	found := 0
	for r, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
		if err != nil {
			t.Fatal(err)
		}
		found++
		got[strings.Clone(r.ID)] = strings.Clone(r.Text("attr.prompt"))
	}
	if diff := cmp.Diff(want, got); diff != "" || found != len(rows) {
		t.Errorf("%d rows, want %d; their prompts (-want +got):\n%s", found, len(rows), diff)
	}
}

// withWords returns the rows that have a phrase.
func withWords(t *testing.T, db *eventdb.DB, phrase string) []string {
	t.Helper()
	var out []string
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Text{Words: phrase, Phrase: true}}}
	for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Clone(r.ID))
	}
	return out
}
