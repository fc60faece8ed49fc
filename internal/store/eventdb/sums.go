package eventdb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine's files have no checksums: a bit that a disk bends in a text is read as another text. Its parts never change
// once they are written, so that the sums of their files are taken beside everything else after a checkpoint, kept in a file
// and compared at the next start: the newest parts before anybody can read, the rest beside the readers. Both stop at once
// when the store closes; what was not taken then is taken in the next life.

const (
	// verifyFirst is how many bytes of the newest parts are read before the store is open, about half a second's work.
	verifyFirst = 256 << 20
	// takeAtMost is after how many bytes of new parts the others have to wait for takePause: the first time after an
	// upgrade there are all.
	takeAtMost = 1 << 30
	takePause  = 15 * time.Second
	// takeAtClose bounds how long Close takes sums.
	takeAtClose = 2 * time.Second
	// readStep is how much is read between two looks whether to stop.
	readStep = 256 << 10
	// firstRetry and lastRetry are how long a file that can't be read for now is left alone.
	firstRetry, lastRetry = 10 * time.Second, 10 * time.Minute
)

// Names of the engine's files.
const (
	fileParts = "parts.json"
	// fileRemoving marks a folder whose files are being removed, in any order.
	fileRemoving = ".delete-this-dir"
)

// partSums are the sums of the engine's files.
type partSums struct {
	dir    string
	atMost int64       // takeAtMost
	asked  func() bool // tells whether a reader asks; none does unless set
	log    *slog.Logger
	wake   chan struct{} // a checkpoint has seen new parts

	// mu is never held while files are read.
	mu    sync.Mutex
	parts map[string]map[string]uint32 // part, relative to dir, then file: CRC-32C
	// damaged is what a comparison found, nil when all was well. Every call asks for it.
	damaged atomic.Pointer[error]
}

// openSums reads the sums of the last life. A file that can't be read is no damage of data: the sums begin anew.
func openSums(dir string, log *slog.Logger) *partSums {
	s := &partSums{dir: dir, atMost: takeAtMost, asked: func() bool { return false }, log: log, wake: make(chan struct{}, 1), parts: map[string]map[string]uint32{}}
	text, err := readSealed(filepath.Join(dir, fileSums))
	if err == nil {
		err = json.Unmarshal(text, &s.parts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.parts = map[string]map[string]uint32{}
		log.Warn("the sums of the store's files can't be read and are taken anew: damage from before now is not noticed", "error", err)
	}
	return s
}

// listParts returns the parts of both engines, newest last as far as their names tell.
func (s *partSums) listParts() ([]string, error) {
	var out []string
	for _, engine := range []string{dirEvents, dirPayloads} {
		days, err := os.ReadDir(filepath.Join(s.dir, engine, "partitions"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, day := range days {
			for _, what := range []string{"datadb", "indexdb"} {
				folder := filepath.Join(engine, "partitions", day.Name(), what)
				names, err := s.partsIn(folder)
				if err != nil {
					return nil, err
				}
				for _, name := range names {
					out = append(out, filepath.Join(folder, name))
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out, nil
}

// partsIn returns the names of the parts that the engine has in a folder. One that it is still writing is not in its list
// yet, and one that it removes is no longer; a day that it removes is marked before the first file goes. At its next start
// it ends what it was removing. An error says that it is not known for now.
func (s *partSums) partsIn(folder string) ([]string, error) {
	_, err := os.Stat(filepath.Join(s.dir, filepath.Dir(folder), fileRemoving))
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, folder, fileParts))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	if json.Unmarshal(text, &names) != nil {
		return nil, nil // the engine says so itself at its start
	}
	return names, nil
}

// has tells whether a part is the engine's still.
func (s *partSums) has(part string) (bool, error) {
	names, err := s.partsIn(filepath.Dir(part))
	return slices.Contains(names, filepath.Base(part)), err
}

// loop takes sums until ctx ends: after each checkpoint, and of what was left over.
func (s *partSums) loop(ctx context.Context) {
	said := ""
	for again := time.After(takePause); ; {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-again:
		}
		more, err := s.take(ctx)
		if more || err != nil {
			again = time.After(takePause)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if err != nil && text != said {
			s.log.Warn("sums of the engine's files can't be taken: it is tried again", "error", err, "hint", unreadableHint(err))
		}
		said = text
	}
}

// look makes loop look for new parts.
func (s *partSums) look() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look already
	}
}

// take takes the sums of new parts, small ones first, so that none waits for one that takes minutes. It forgets those of
// parts that are gone, and writes them down. When ctx ends it keeps what it has, which is no error. more tells that parts are
// left. It is not for two at a time.
func (s *partSums) take(ctx context.Context) (more bool, err error) {
	parts, err := s.listParts()
	if err != nil {
		return true, err // which are gone is not known
	}
	there := make(map[string]struct{}, len(parts))
	for _, p := range parts {
		there[p] = struct{}{}
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return s.of(p) != nil })
	sizes := make(map[string]int64, len(parts))
	for _, p := range parts {
		sizes[p] = s.size(p)
	}
	slices.SortStableFunc(parts, func(a, b string) int { return cmp.Compare(sizes[a], sizes[b]) })
	var failed error
	left, taken := s.atMost, map[string]map[string]uint32{}
	for _, p := range parts {
		if left <= 0 || ctx.Err() != nil {
			more = true
			break
		}
		sums, err := s.sumsOf(ctx, p, nil, atOnce)
		switch {
		case err == nil:
			taken[p] = sums
			left -= sizes[p]
		case errors.Is(err, fs.ErrNotExist): // merged meanwhile
		case ctx.Err() == nil:
			failed = errors.Join(failed, err)
		}
	}
	return more || ctx.Err() != nil, errors.Join(failed, s.keep(taken, there))
}

// size returns the bytes of a part, 0 when they are not known.
func (s *partSums) size(part string) int64 {
	n, err := folderBytes(filepath.Join(s.dir, part))
	if err != nil {
		return 0
	}
	return n
}

// keep adds sums, forgets those of parts that are not there, and writes them down when that changes anything.
func (s *partSums) keep(taken map[string]map[string]uint32, there map[string]struct{}) error {
	s.mu.Lock()
	before := len(s.parts)
	maps.DeleteFunc(s.parts, func(p string, _ map[string]uint32) bool {
		_, ok := there[p]
		return !ok
	})
	changed := len(taken) > 0 || len(s.parts) != before
	maps.Copy(s.parts, taken)
	var text []byte
	var err error
	if changed {
		text, err = json.Marshal(s.parts)
	}
	s.mu.Unlock()
	if err != nil || !changed {
		return err
	}
	return writeSealed(filepath.Join(s.dir, fileSums), text)
}

// of returns the sums of a part, nil when they were not taken.
func (s *partSums) of(part string) map[string]uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[part]
}

// sumsOf reads the files of a part. With want it compares, and returns an error that names the file that differs.
func (s *partSums) sumsOf(ctx context.Context, part string, want map[string]uint32, rest pauses) (map[string]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, part))
	if err != nil {
		return nil, err
	}
	out := make(map[string]uint32, len(entries))
	buf := make([]byte, readStep)
	for _, e := range entries {
		path := filepath.Join(s.dir, part, e.Name())
		sum, err := sumOf(ctx, path, buf, rest)
		if err != nil {
			return nil, err
		}
		if known, ok := want[e.Name()]; ok && known != sum {
			return nil, fmt.Errorf("%w: file %s is not what was written", store.ErrCorrupt, path)
		}
		out[e.Name()] = sum
	}
	for name := range want {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("%w: file %s is gone", store.ErrCorrupt, filepath.Join(s.dir, part, name))
		}
	}
	return out, nil
}

// pauses tells how much longer the reading of sums rests than it has just read.
type pauses func() int

func atOnce() int { return 0 }

// gently leaves the disk and the processor to those who ask, nearly all of them while somebody does.
func (s *partSums) gently() int {
	if s.asked() {
		return 20
	}
	return 3
}

// sumOf reads a file through buf.
func sumOf(ctx context.Context, path string, buf []byte, rest pauses) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for {
		begin := time.Now()
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n]) // has no errors
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if err := pause(ctx, time.Since(begin)*time.Duration(rest())); err != nil {
			return 0, err
		}
	}
	return h.Sum32(), nil
}

// compare compares a part with its sums. An error that is store.ErrCorrupt says that it is damaged: a file differs or is
// gone. Any other one says that it could not be read, which may pass.
func (s *partSums) compare(ctx context.Context, part string, rest pauses) error {
	want := s.of(part)
	if want == nil {
		return nil
	}
	_, err := s.sumsOf(ctx, part, want, rest)
	if err == nil {
		return nil
	}
	// A part that was merged or dropped meanwhile loses its files one by one.
	if there, e := s.has(part); e != nil || !there {
		return e
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	if errors.Is(err, store.ErrCorrupt) {
		return signal.WithHint(err, repairHint(part))
	}
	return err
}

// verify compares the newest parts and returns the others, and those that are too large to wait for.
func (s *partSums) verify(ctx context.Context) (rest []string, err error) {
	parts, err := s.listParts()
	if err != nil {
		return nil, signal.WithHint(err, unreadableHint(err))
	}
	if err := s.thereAre(parts); err != nil {
		return nil, err
	}
	left := int64(verifyFirst)
	for _, p := range readFirst(parts) {
		n := s.size(p)
		if left <= 0 || n > verifyFirst {
			rest = append(rest, p)
			continue
		}
		if err := s.compare(ctx, p, atOnce); err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				err = signal.WithHint(err, unreadableHint(err))
			}
			return nil, err
		}
		left -= n
	}
	return rest, nil
}

// thereAre tells whether each part that a list names has its folder. The engine removes a folder that its list does not name, as
// what is left of a merge, before it misses one: with a damaged list it would remove the part that the list should name.
func (s *partSums) thereAre(parts []string) error {
	for _, p := range parts {
		_, err := os.Stat(filepath.Join(s.dir, p))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return signal.WithHint(err, unreadableHint(err))
		}
		list := filepath.Join(filepath.Dir(p), fileParts)
		err = fmt.Errorf("%w: file %s names a part %s that is not there", store.ErrCorrupt, filepath.Join(s.dir, list), filepath.Base(p))
		return signal.WithHint(err, "restore the folder from a backup (`mindscope restore`), or write the names of the folders beside "+list+
			" into it: of those it does not name the store removes everything")
	}
	return nil
}

func repairHint(part string) string {
	return "restore the folder from a backup (`mindscope restore`); the rows of this one part are lost when its folder " + part +
		" and its name in parts.json beside it are removed"
}

// unreadableHint says what to do about a file that can't be read, which is no damage of what is in it.
func unreadableHint(err error) string {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return "allow more open files (`ulimit -n`, LimitNOFILE= of a systemd service, fs.file-max of the system)"
	case errors.Is(err, fs.ErrPermission):
		return "give the server's user the right to read the file"
	case errors.Is(err, unix.EIO):
		return "the disk does not read it: look into the system's log (`dmesg`) and make a backup"
	default:
		return "see to it that the server can read the file"
	}
}

// verifyRest compares parts beside everything else. Damage ends the answers of the store: no reader sees what is not as it
// was written. A file that can't be read for now is no damage: it is said, and tried again until ctx ends.
func (s *partSums) verifyRest(ctx context.Context, parts []string) error {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		var again []string
		var unread error
		for _, p := range parts {
			err := s.compare(ctx, p, s.gently)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, store.ErrCorrupt):
				s.damaged.Store(&err)
				return err
			case err != nil:
				again, unread = append(again, p), err
			}
		}
		if len(again) == 0 {
			return nil
		}
		s.log.Warn("files of the store can't be compared with what was written: they are tried again, readers and writers go on",
			"parts", len(again), "error", unread, "hint", unreadableHint(unread), "again_in", wait)
		parts = again
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// damage returns what was found, nil when all is well.
func (s *partSums) damage() error {
	if err := s.damaged.Load(); err != nil {
		return *err
	}
	return nil
}

// pause rests for a time, and returns the error of a context that is over.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// readFirst orders parts as they are read at start: spans, logs and the like before payloads, which fewer questions want, and the
// newest first. What was read is in the system's memory then.
func readFirst(parts []string) []string {
	out := slices.Clone(parts)
	slices.Reverse(out)
	rank := func(part string) int {
		if strings.HasPrefix(part, dirEvents+string(filepath.Separator)) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}
