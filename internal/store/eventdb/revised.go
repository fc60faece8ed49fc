package eventdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// revisedKinds remembers of which kinds a project has rows with a revision. Only there must a reader look for a newer
// revision of what it found; everywhere else that search would cost many times the question itself.
type revisedKinds struct {
	path string

	mu    sync.RWMutex
	kinds map[signal.Project][]store.Kind
}

func openRevised(path string) (*revisedKinds, error) {
	r := &revisedKinds{path: path, kinds: map[signal.Project][]store.Kind{}}
	data, err := readSealed(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(data, &r.kinds); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", path, store.ErrCorrupt, err)
	}
	return r, nil
}

func (r *revisedKinds) has(p signal.Project, k store.Kind) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Contains(r.kinds[p], k)
}

// add marks a kind; the mark is on disk when it returns.
func (r *revisedKinds) add(p signal.Project, k store.Kind) error {
	if r.has(p, k) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.kinds[p], k) {
		return nil
	}
	before := r.kinds[p]
	r.kinds[p] = append(slices.Clone(before), k)
	data, err := json.Marshal(r.kinds)
	if err == nil {
		err = writeSealed(r.path, data)
	}
	if err != nil {
		r.kinds[p] = before
		return fmt.Errorf("mark revised rows: %w", err)
	}
	return nil
}
