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

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/storetest"
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

// TestKilledWhileReading: with a node away the answer holds what the others have and says that it is partial.
func TestKilledWhileReading(t *testing.T) {
	nodes := startNodes(t, 3)
	db := open(t, t.TempDir(), nodes)
	defer db.Close()
	at := time.Now().Add(-time.Minute)
	const total = 3000
	for i := range total / 10 {
		var rows []store.Row
		for k := range 10 {
			rows = append(rows, span(fmt.Sprintf("trace-%d", i), k, at))
		}
		if _, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	whole, err := count(t.Context(), db)
	if err != nil || len(whole) != total {
		t.Fatalf("%d rows, %v", len(whole), err)
	}
	read := 0
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}
	for _, err = range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			break
		}
		if read++; read == 1 {
			nodes[0].kill(syscall.SIGKILL)
		}
	}
	if read < total && !errors.Is(err, store.ErrPartial) {
		t.Errorf("killed in the middle of an answer: %d rows, %v", read, err)
	}
	part, err := count(t.Context(), db)
	if !errors.Is(err, store.ErrPartial) || len(part) == 0 {
		t.Errorf("with a node away: %d rows, %v", len(part), err)
	}
	_, err = db.Aggregate(t.Context(), signal.DefaultProject, store.Aggregate{Scope: q.Scope, Columns: []store.Column{{Func: store.CountRows}}})
	if !errors.Is(err, store.ErrPartial) {
		t.Errorf("a count with a node away: %v", err)
	}
	nodes[0].start()
	for end := time.Now().Add(20 * time.Second); ; {
		if again, err := count(t.Context(), db); err == nil && len(again) == total {
			break
		} else if time.Now().After(end) {
			t.Fatalf("after it came back: %d rows, %v", len(again), err)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFolderMovesOver: the events of an embedded store are a storage node's when they are in its folder.
func TestFolderMovesOver(t *testing.T) {
	dir := t.TempDir()
	embedded, err := eventdb.Open(dir, eventdb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	if _, err := embedded.Write(t.Context(), signal.DefaultProject, []store.Row{span("trace", 0, at), span("trace", 1, at)}); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Close(); err != nil {
		t.Fatal(err)
	}
	nodes := startNodes(t, 2)
	nodes[0].kill(syscall.SIGTERM)
	if err := os.RemoveAll(nodes[0].dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "events"), nodes[0].dir); err != nil {
		t.Fatal(err)
	}
	nodes[0].start()
	db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(nodes), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// A repeat of what was moved is one, and new spans of its trace come to it.
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("trace", 1, at), span("trace", 2, at)}); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if found, err := count(t.Context(), db); err != nil || len(found) != 3 || found["trace.1"] != 1 {
		t.Errorf("found %v, %v", found, err)
	}
}
