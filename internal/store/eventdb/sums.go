package eventdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine's files have no checksums: a bit that a disk bends in a text is read as another text. Its parts never change
// once they are written, so that the sums of their files are taken when a checkpoint has seen them, kept in a file and
// compared at the next start: the newest parts before anybody can read, the rest beside the readers.

const (
	// verifyFirst is how many bytes of the newest parts are read before the store is open, about half a second's work.
	verifyFirst = 256 << 20
	// takeAtMost is after how many bytes of new parts a checkpoint leaves the others to the next one: the first after an
	// upgrade has all there are before it.
	takeAtMost = 1 << 30
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
	atMost int64 // takeAtMost

	// mu is never held while files are read.
	mu    sync.Mutex
	parts map[string]map[string]uint32 // part, relative to dir, then file: CRC-32C
	// damaged is what a comparison found, nil when all was well. Every call asks for it.
	damaged atomic.Pointer[error]
}

// openSums reads the sums of the last life. A file that can't be read is no damage of data: the sums begin anew.
func openSums(dir string) *partSums {
	s := &partSums{dir: dir, atMost: takeAtMost, parts: map[string]map[string]uint32{}}
	text, err := os.ReadFile(filepath.Join(dir, fileSums))
	if err != nil || json.Unmarshal(text, &s.parts) != nil {
		s.parts = map[string]map[string]uint32{}
	}
	return s
}

// listParts returns the parts of both engines, newest last as far as their names tell.
func (s *partSums) listParts() []string {
	var out []string
	for _, engine := range []string{dirEvents, dirPayloads} {
		for _, what := range []string{"datadb", "indexdb"} {
			lists, err := filepath.Glob(filepath.Join(s.dir, engine, "partitions", "*", what, fileParts))
			if err != nil {
				continue // a pattern of ours
			}
			for _, list := range lists {
				folder, err := filepath.Rel(s.dir, filepath.Dir(list))
				if err != nil {
					continue // below dir
				}
				for _, name := range s.partsIn(folder) {
					out = append(out, filepath.Join(folder, name))
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out
}

// partsIn returns the names of the parts that the engine has in a folder. One that it is still writing is not in its list
// yet, and one that it removes is no longer; a day that it removes is marked before the first file goes. At its next start
// it ends what it was removing.
func (s *partSums) partsIn(folder string) []string {
	if _, err := os.Stat(filepath.Join(s.dir, filepath.Dir(folder), fileRemoving)); err == nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.dir, folder, fileParts))
	var names []string
	if err != nil || json.Unmarshal(text, &names) != nil {
		return nil // the engine says so itself when it should be there
	}
	return names
}

// has tells whether a part is the engine's still.
func (s *partSums) has(part string) bool {
	return slices.Contains(s.partsIn(filepath.Dir(part)), filepath.Base(part))
}

// take takes the sums of new parts, forgets those of parts that are gone, and writes them down. It is not for two at a time.
func (s *partSums) take() error {
	var failed error
	left, taken, there := s.atMost, map[string]map[string]uint32{}, map[string]struct{}{}
	for _, p := range s.listParts() {
		there[p] = struct{}{}
		if left <= 0 || s.of(p) != nil {
			continue
		}
		sums, err := s.sumsOf(p, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue // merged meanwhile
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		taken[p] = sums
		if n, err := folderBytes(filepath.Join(s.dir, p)); err == nil {
			left -= n
		}
	}
	return errors.Join(failed, s.keep(taken, there))
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
	return writeFile(filepath.Join(s.dir, fileSums), text)
}

// of returns the sums of a part, nil when they were not taken.
func (s *partSums) of(part string) map[string]uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[part]
}

// sumsOf reads the files of a part. With want it compares, and returns an error that names the file that differs.
func (s *partSums) sumsOf(part string, want map[string]uint32) (map[string]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, part))
	if err != nil {
		return nil, err
	}
	out := make(map[string]uint32, len(entries))
	for _, e := range entries {
		path := filepath.Join(s.dir, part, e.Name())
		sum, err := sumOf(path, want != nil)
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

// sumOf reads a file. Of one that is read only to be compared, no copy is kept in the system's memory.
func sumOf(path string, forget bool) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(h, f); err != nil {
		return 0, err
	}
	if forget {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // only a hint
	}
	return h.Sum32(), nil
}

// verify compares the newest parts and returns the others.
func (s *partSums) verify() (rest []string, err error) {
	left := int64(verifyFirst)
	for _, p := range slices.Backward(s.listParts()) {
		want := s.of(p)
		if want == nil {
			continue
		}
		if left <= 0 {
			rest = append(rest, p)
			continue
		}
		if _, err := s.sumsOf(p, want); err != nil {
			return nil, signal.WithHint(err, repairHint(p))
		}
		if n, err := folderBytes(filepath.Join(s.dir, p)); err == nil {
			left -= n
		}
	}
	return rest, nil
}

func repairHint(part string) string {
	return "restore the folder from a backup (`mindscope restore`); the rows of this one part are lost when its folder " + part +
		" and its name in parts.json beside it are removed"
}

// verifyRest compares parts beside everything else. Damage ends the answers of the store: no reader sees what is not as it
// was written.
func (s *partSums) verifyRest(ctx context.Context, parts []string) error {
	for _, p := range parts {
		if ctx.Err() != nil {
			return nil
		}
		want := s.of(p)
		if want == nil {
			continue
		}
		_, err := s.sumsOf(p, want)
		if err == nil || !s.has(p) {
			continue // a part that was merged or dropped meanwhile loses its files one by one
		}
		err = signal.WithHint(err, repairHint(p))
		s.damaged.Store(&err)
		return err
	}
	return nil
}

// damage returns what was found, nil when all is well.
func (s *partSums) damage() error {
	if err := s.damaged.Load(); err != nil {
		return *err
	}
	return nil
}
