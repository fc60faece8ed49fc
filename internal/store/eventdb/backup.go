package eventdb

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// fileBackup is the last entry of a backup: without it, a backup is not whole.
const fileBackup = "backup.json"

// manifest says what a backup is.
type manifest struct {
	Format int       `json:"format"` // formatVersion
	At     time.Time `json:"at"`
	// Pending are the deletions that were not done yet; the folder may hold their rows.
	Pending []string `json:"pending,omitempty"`
}

// Backup writes the folder as it is now to w, as a tar archive. Writers and readers go on: the engine's files are
// linked, which takes a moment, and what is not in them yet is in the log, which is part of the backup.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	events, ok := db.events.(embedded)
	payloads, ok2 := db.payloads.(embedded)
	if !ok || !ok2 {
		return signal.Permanent(errors.New("the rows are on storage nodes: back up the nodes (docs/storage-nodes.md)"))
	}
	if err := db.room.enough("a backup"); err != nil {
		return err
	}
	b := &backup{tar: tar.NewWriter(w), ctx: ctx}
	defer b.close()
	if err := db.freeze(b, events, payloads); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := b.write(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// freeze collects what belongs together. Meanwhile nothing is deleted and no checkpoint cuts the log.
func (db *DB) freeze(b *backup, events, payloads embedded) error {
	db.deletions.running.Lock()
	defer db.deletions.running.Unlock()
	db.keeper.tidying.Lock()
	defer db.keeper.tidying.Unlock()
	db.checkpointing.Lock()
	defer db.checkpointing.Unlock()
	m := manifest{Format: formatVersion, At: time.Now().UTC()}
	for _, t := range db.deletions.pending() {
		m.Pending = append(m.Pending, t.ID)
		if !t.Replaces {
			continue
		}
		if err := b.copyOf(db.dir, dirReplacing+"/"+filepath.Base(db.kept.path(t.ID))); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b.manifest = text
	// The log first: what it says to be in the engine's files is in those that are linked after it.
	for _, name := range []string{fileVersion, fileOldUntil, fileKey, fileRevised, fileSums, fileDeletions, dirWAL + "/" + fileCheckpoint} {
		if err := b.copyOf(db.dir, name); err != nil {
			return err
		}
	}
	segments, err := listSegments(filepath.Join(db.dir, dirWAL))
	if err != nil {
		return err
	}
	for _, s := range segments {
		if err := b.open(s.path, dirWAL+"/"+filepath.Base(s.path)); err != nil {
			return err
		}
	}
	// An event's payloads were stored before it, so that its snapshot comes second.
	b.snapshot(events, dirEvents)
	b.snapshot(payloads, dirPayloads)
	// Last: they know the project and the common words of every row.
	return errors.Join(b.copyOf(db.dir, fileProjects), b.copyOf(db.dir, fileCommon))
}

// backup is an archive on its way.
type backup struct {
	ctx       context.Context //nolint:containedctx // of one Backup
	tar       *tar.Writer
	manifest  []byte
	parts     []backupPart
	snapshots []func() error
}

// backupPart is a file: its bytes, or the first size bytes of an open one, or all of a linked one.
type backupPart struct {
	name string
	data []byte
	file *os.File
	size int64
	path string
}

// copyOf takes a small file as it is now; one that is not there is left out.
func (b *backup) copyOf(dir, name string) error {
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b.parts = append(b.parts, backupPart{name: name, data: data})
	return err
}

// open takes a growing file up to its present end; it can be read when its name is gone, too.
func (b *backup) open(from, name string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	b.parts = append(b.parts, backupPart{name: name, file: f})
	info, err := f.Stat()
	if err == nil {
		b.parts[len(b.parts)-1].size = info.Size()
	}
	return err
}

// snapshot links the engine's files.
func (b *backup) snapshot(e embedded, dir string) {
	e.DebugFlush()
	for _, link := range e.PartitionSnapshotMustCreate("") {
		b.snapshots = append(b.snapshots, func() error { return e.PartitionSnapshotDelete(link) })
		day := filepath.Base(filepath.Dir(filepath.Dir(link)))
		b.parts = append(b.parts, backupPart{name: dir + "/partitions/" + day, path: link})
	}
}

func (b *backup) close() {
	for _, p := range b.parts {
		if p.file != nil {
			_ = p.file.Close() // only read
		}
	}
	for _, remove := range b.snapshots {
		_ = remove() // a day that was evicted meanwhile took its snapshot along
	}
}

func (b *backup) write() error {
	for _, p := range b.parts {
		var err error
		switch {
		case p.path != "":
			err = b.tree(p.path, p.name)
		case p.file != nil:
			err = b.entry(p.name, p.size, io.LimitReader(p.file, p.size))
		default:
			err = b.entry(p.name, int64(len(p.data)), strings.NewReader(string(p.data)))
		}
		if err != nil {
			return err
		}
	}
	if err := b.entry(fileBackup, int64(len(b.manifest)), strings.NewReader(string(b.manifest))); err != nil {
		return err
	}
	return b.tar.Close()
}

// tree writes the files of a snapshot. Empty folders count: the engine wants them.
func (b *backup) tree(from, name string) error {
	return filepath.WalkDir(from, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, at)
		if err != nil {
			return err
		}
		to := path.Join(name, filepath.ToSlash(rel))
		if d.IsDir() {
			return b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: to + "/", Mode: 0o750})
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return b.entry(to, info.Size(), f)
	})
}

func (b *backup) entry(name string, size int64, r io.Reader) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o640}); err != nil {
		return err
	}
	_, err := io.Copy(b.tar, r)
	return err
}

// Deletions returns the record of deletions, for the backups made before them.
func (db *DB) Deletions() ([]byte, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	db.deletions.mu.Lock()
	defer db.deletions.mu.Unlock()
	text, err := os.ReadFile(db.deletions.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return withoutSeals(text), err
}

// Restore makes a data folder of a backup, a folder with the files of Backup's archive. dir must be missing or empty.
// What was deleted since the backup, as far as its record of deletions knows, is deleted again when the folder is opened.
func Restore(from, dir string) error {
	text, err := os.ReadFile(filepath.Join(from, fileBackup))
	if errors.Is(err, fs.ErrNotExist) {
		return signal.WithHint(fmt.Errorf("%s is no whole backup: it has no %s", from, fileBackup), "`mindscope backup DIR` makes one")
	}
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%w: %s: %w", store.ErrCorrupt, fileBackup, err)
	}
	if m.Format > formatVersion {
		return fmt.Errorf("%w: format %d, this release knows %d", store.ErrNewer, m.Format, formatVersion)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return signal.WithHint(fmt.Errorf("%s is not empty", dir), "restore into a new folder")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy backup: %w", err)
	}
	if err := m.reopen(filepath.Join(dir, fileDeletions)); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, fileBackup)), syncFolder(dir))
}

// reopen marks the deletions that the backup does not know as pending again. A replacement that it does not know is a
// deletion to it: what took the place of the rows came later.
func (m *manifest) reopen(path string) error {
	kept := keptRows{filepath.Join(filepath.Dir(path), dirReplacing)}
	d, err := openDeletions(path)
	if err != nil {
		return err
	}
	pending := map[string]bool{}
	for _, id := range m.Pending {
		pending[id] = true
	}
	var out []byte
	for _, t := range d.all {
		if !t.At.Before(m.At) || pending[t.ID] {
			t.Done = false
			t.Replaces = t.Replaces && kept.has(t.ID)
		}
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		out = append(append(out, seal(line)...), '\n')
	}
	return writeFile(path, out)
}
