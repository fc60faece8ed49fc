package eventdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine's files have no checksums: a bit that a disk bends in a text is read as another text. Its parts never change
// once they are written, so that the sums of their files are taken when a checkpoint has seen them, kept in a file and
// compared at the next start: the newest parts before anybody can read, the rest beside the readers.

// verifyFirst is how many bytes of the newest parts are read before the store is open, about half a second's work.
const verifyFirst = 256 << 20

// partSums are the sums of the engine's files.
type partSums struct {
	dir string

	mu    sync.Mutex
	parts map[string]map[string]uint32 // part, relative to dir, then file: CRC-32C
	// damaged is what a comparison found, nil when all was well.
	damaged error
}

// openSums reads the sums of the last life. A file that can't be read is no damage of data: the sums begin anew.
func openSums(dir string) *partSums {
	s := &partSums{dir: dir, parts: map[string]map[string]uint32{}}
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
			paths, err := filepath.Glob(filepath.Join(s.dir, engine, "partitions", "*", what, "*", "metadata.json"))
			if err != nil {
				continue // a pattern of ours
			}
			for _, p := range paths {
				if rel, err := filepath.Rel(s.dir, filepath.Dir(p)); err == nil {
					out = append(out, rel)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out
}

// take takes the sums of new parts, forgets those of parts that are gone, and writes them down.
func (s *partSums) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := s.listParts()
	there, changed := make(map[string]struct{}, len(parts)), false
	for _, p := range parts {
		there[p] = struct{}{}
		if s.parts[p] != nil {
			continue
		}
		sums, err := s.sumsOf(p, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue // merged meanwhile
		}
		if err != nil {
			return err
		}
		s.parts[p], changed = sums, true
	}
	for p := range s.parts {
		if _, ok := there[p]; !ok {
			delete(s.parts, p)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	text, err := json.Marshal(s.parts)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, fileSums), text)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	left := int64(verifyFirst)
	for _, p := range slices.Backward(s.listParts()) {
		if s.parts[p] == nil {
			continue
		}
		if left <= 0 {
			rest = append(rest, p)
			continue
		}
		if _, err := s.sumsOf(p, s.parts[p]); err != nil {
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
		s.mu.Lock()
		want := s.parts[p]
		s.mu.Unlock()
		if want == nil {
			continue
		}
		_, err := s.sumsOf(p, want)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, gone := os.Stat(filepath.Join(s.dir, p)); errors.Is(gone, fs.ErrNotExist) {
			continue // merged meanwhile
		}
		s.mu.Lock()
		s.damaged = signal.WithHint(err, repairHint(p))
		s.mu.Unlock()
		return err
	}
	return nil
}

// damage returns what was found, nil when all is well.
func (s *partSums) damage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damaged
}
