package nodes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

// parts returns the files that list the parts of a node's days: of their rows (datadb) or of the names of their streams (indexdb).
func (nd *storageNode) parts(of string) []string {
	nd.t.Helper()
	lists, err := filepath.Glob(filepath.Join(nd.dir, "partitions", "*", of, "parts.json"))
	if err != nil {
		nd.t.Fatal(err)
	}
	return lists
}

// onDisk waits until each of n days has rows on disk.
func (nd *storageNode) onDisk(n int) {
	nd.t.Helper()
	harness.Eventually(nd.t, time.Minute, "rows on the node's disk", func() error {
		lists := nd.parts("datadb")
		if len(lists) < n {
			return fmt.Errorf("%d days of %d", len(lists), n)
		}
		for _, list := range lists {
			text, err := os.ReadFile(list)
			if err != nil {
				return err
			}
			if !strings.Contains(string(text), `["`) {
				return fmt.Errorf("%s: %s", list, text)
			}
		}
		return nil
	})
}

// loseStreams removes the names of all streams from the disk of a node that does not run: a kill in the second after a stream's
// first rows came to disk leaves it so.
func (nd *storageNode) loseStreams() {
	nd.t.Helper()
	lists := nd.parts("indexdb")
	if len(lists) == 0 {
		nd.t.Fatal("the node has no indexes")
	}
	for _, list := range lists {
		if err := os.WriteFile(list, []byte("[]"), 0o600); err != nil {
			nd.t.Fatal(err)
		}
	}
}

// ofService returns the ids of a service's spans, sorted.
func ofService(t testing.TB, db *eventdb.DB, service string) []string {
	t.Helper()
	var ids []string
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldService, service)}}
	for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.Clone(r.ID))
		if !strings.HasPrefix(r.Text("attr.prompt"), "prompt ") {
			t.Errorf("row %s has the prompt %.40q", r.ID, r.Text("attr.prompt"))
		}
	}
	slices.Sort(ids)
	return ids
}

// TestLostStreamsOnNodes: rows that came to a node's disk before the names of their streams did are there for readers, once.
func TestLostStreamsOnNodes(t *testing.T) {
	services := []string{"writer", `a "critic", {odd}`, "editor"}
	prepare := func(t *testing.T) (nodes []*storageNode, config eventdb.Config, rows []store.Row, want map[string][]string) {
		nodes = startNodes(t, 2)
		config = eventdb.Config{Nodes: addrs(nodes), NodeSettle: time.Hour} // no row is let go before the kill
		want = map[string][]string{}
		for i := range 60 {
			service, at := services[i%3], time.Now().Add(-time.Minute-time.Duration(i%2)*48*time.Hour)
			r := span(fmt.Sprintf("trace-%d", i), i, at)
			for k, f := range r.Fields {
				if f.Name == store.FieldService {
					r.Fields[k].Value = store.String(service)
				}
			}
			rows, want[service] = append(rows, r), append(want[service], r.ID)
		}
		for _, ids := range want {
			slices.Sort(ids)
		}
		return nodes, config, rows, want
	}
	lose := func(nodes []*storageNode) {
		for _, nd := range nodes {
			nd.onDisk(2)
			nd.kill(syscall.SIGKILL)
			nd.loseStreams()
			nd.start()
		}
	}
	found := func(t *testing.T, db *eventdb.DB, want map[string][]string) {
		t.Helper()
		harness.Eventually(t, time.Minute, "all rows by service", func() error {
			if err := db.Flush(); err != nil {
				return err
			}
			for _, service := range services {
				if got := ofService(t, db, service); !slices.Equal(got, want[service]) {
					return fmt.Errorf("%s: %d rows of %d", service, len(got), len(want[service]))
				}
			}
			return nil
		})
		total, err := count(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range total {
			if n != 1 {
				t.Errorf("row %s is there %d times", id, n)
			}
		}
	}

	t.Run("nodes are killed", func(t *testing.T) {
		nodes, config, rows, want := prepare(t)
		db, err := eventdb.Open(t.TempDir(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if rejected, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
			t.Fatal(rejected, err)
		}
		lose(nodes)
		found(t, db, want)
	})
	t.Run("MindScope, too", func(t *testing.T) {
		nodes, config, rows, want := prepare(t)
		dir := t.TempDir()
		db, err := eventdb.Open(dir, config)
		if err != nil {
			t.Fatal(err)
		}
		if rejected, err := db.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
			t.Fatal(rejected, err)
		}
		killed := t.TempDir() // what a kill leaves
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		for _, nd := range nodes {
			nd.onDisk(2)
			nd.kill(syscall.SIGKILL)
		}
		_ = db.Close() // its nodes are away
		for _, nd := range nodes {
			nd.loseStreams()
			nd.start()
		}
		again, err := eventdb.Open(killed, config)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		found(t, again, want)
		if rejected, err := again.Write(t.Context(), signal.DefaultProject, rows[:3]); err != nil || rejected.Items > 0 { // repeats
			t.Fatal(errors.Join(err, errors.New(rejected.Message())))
		}
		found(t, again, want)
	})
}
