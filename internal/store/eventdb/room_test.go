package eventdb

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// fakeDisk is a disk of which tests say how much is free while the reserve is held.
type fakeDisk struct{ bytes atomic.Int64 }

func (d *fakeDisk) free(dir string) (int64, error) {
	free := d.bytes.Load()
	if _, err := os.Stat(filepath.Join(dir, fileReserve)); err != nil {
		free += reserveMost
	}
	return free, nil
}

func (d *fakeDisk) config() Config {
	return Config{CheckpointEvery: time.Hour, MinFreeBytes: 100 << 20, free: d.free}
}

func holdsReserve(db *DB) bool {
	info, err := os.Stat(filepath.Join(db.dir, fileReserve))
	return err == nil && info.Size() == reserveMost
}

// soon polls until ok says yes.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

func refused(t *testing.T, db *DB, id string) {
	t.Helper()
	before := db.keeper.refused.Load()
	_, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", id, base)})
	if _, again := signal.RetryAfter(err); !errors.Is(err, store.ErrReadOnly) || !again || db.keeper.refused.Load() != before+1 {
		t.Errorf("write to a full disk: %v, %d refusals counted before, %d after", err, before, db.keeper.refused.Load())
	}
}

// TestShortDisk: below the floor nothing is taken and nothing stays in memory only; with less than the reserve beside it
// the reserve goes; with room all is as before.
func TestShortDisk(t *testing.T) {
	var disk fakeDisk
	disk.bytes.Store(1 << 30)
	db := openWith(t, t.TempDir(), disk.config())
	soon(t, "the reserve", func() bool { return holdsReserve(db) })
	if used, err := folderBytes(db.dir); err != nil || used >= reserveMost {
		t.Errorf("the reserve counts as used: %d bytes, %v", used, err)
	}
	settled := func() bool { return !db.unsettled() && db.inMemory() == 0 && db.room.resting.Load() }
	rows := []store.Row{span("t", "1", base)}
	write(t, db, rows[0])

	// The floor, the reserve included, is just kept.
	disk.bytes.Store(100<<20 - reserveMost)
	rows = append(rows, span("t", "2", base+1))
	write(t, db, rows[1])

	disk.bytes.Store(100<<20 - reserveMost - 1)
	soon(t, "nothing to be in memory only", settled)
	refused(t, db, "3")
	if !holdsReserve(db) {
		t.Error("the reserve was given up though there was room")
	}
	disk.bytes.Store(0) // nothing is in memory: the reserve may stay
	refused(t, db, "3")
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), rows)
	if _, err := db.Delete(t.Context(), signal.DefaultProject, store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("removal without room: %v", err)
	}

	disk.bytes.Store(1 << 30)
	soon(t, "writes to be taken", func() bool { return db.room.refusal() == "" })
	rows = append(rows, span("t", "3", base+2))
	write(t, db, rows[2])
	disk.bytes.Store(0) // at once
	soon(t, "nothing to be in memory only", settled)
	refused(t, db, "4")
	if holdsReserve(db) {
		t.Error("the reserve was not given up")
	}
	disk.bytes.Store(1 << 30)
	soon(t, "the reserve to be taken again", func() bool { return holdsReserve(db) && db.room.refusal() == "" })
	rows = append(rows, span("t", "4", base+3))
	write(t, db, rows[3])
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), rows)
}

// TestStartOnAFullDisk: a log that there is no room to replay for ends the start before anything is changed; the reserve is
// room for it.
func TestStartOnAFullDisk(t *testing.T) {
	var disk fakeDisk
	disk.bytes.Store(1 << 30)
	db := unflushed(t, t.TempDir(), disk.config())
	rows := []store.Row{span("t", "1", base), span("t", "2", base+1)}
	add(t, db, rows...)
	dir := crashed(t, db.dir)
	if err := os.Remove(filepath.Join(dir, fileReserve)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	disk.bytes.Store(-reserveMost)
	_, err := Open(dir, disk.config())
	if !errors.Is(err, store.ErrReadOnly) || signal.HintOf(err) == "" {
		t.Fatalf("start without room: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileReserve), make([]byte, reserveMost), 0o640); err != nil {
		t.Fatal(err)
	}
	disk.bytes.Store(0)
	db = openWith(t, dir, disk.config())
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), rows)
	refused(t, db, "3")
	disk.bytes.Store(1 << 30)
	soon(t, "writes to be taken", func() bool { return db.room.refusal() == "" })
	write(t, db, span("t", "3", base))
}

// TestReadOnlyFolder: a folder that this user may not write to any more takes nothing and is read.
func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 { // root may write anywhere
		asNobody(t)
		return
	}
	db := openWith(t, t.TempDir(), Config{})
	write(t, db, span("t", "1", base))
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(db.dir, dirEvents)
	if err := os.Chmod(events, 0o500); err != nil {
		t.Fatal(err)
	}
	soon(t, "the folder to be looked at", func() bool { return db.room.refusal() != "" })
	refused(t, db, "2")
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), []store.Row{span("t", "1", base)})
	if err := os.Chmod(events, 0o750); err != nil {
		t.Fatal(err)
	}
	soon(t, "writes to be taken", func() bool { return db.room.refusal() == "" })
	write(t, db, span("t", "2", base))
}

// asNobody runs the test that calls it once more, as a user whom permissions bind.
func asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir := t.TempDir()
	program := filepath.Join(dir, "test")
	text, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.WriteFile(program, text, 0o755), os.Chown(dir, nobody, nobody))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	said, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as another user: %v\n%s", err, said)
	}
}
