package eventdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// projects gives each project its number, which is its tenant in the engine. A number is on disk before rows carry it
// and is never given twice.
type projects struct {
	path string

	mu      sync.RWMutex
	numbers map[signal.Project]uint32
}

func openProjects(path string) (*projects, error) {
	p := &projects{path: path, numbers: map[signal.Project]uint32{}}
	data, err := readSealed(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, &p.numbers); err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", path, store.ErrCorrupt, err)
		}
	}
	p.numbers[signal.DefaultProject] = 0
	return p, nil
}

// find returns the tenant of a project that has been written to.
func (p *projects) find(name signal.Project) (logstorage.TenantID, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	n, ok := p.numbers[name]
	return tenant(n), ok
}

// create returns the tenant of a project, a new one when it has none.
func (p *projects) create(name signal.Project) (logstorage.TenantID, error) {
	if t, ok := p.find(name); ok {
		return t, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.numbers[name]; ok {
		return tenant(n), nil
	}
	var next uint32
	for _, n := range p.numbers {
		next = max(next, n+1)
	}
	p.numbers[name] = next
	data, err := json.Marshal(p.numbers)
	if err == nil {
		err = writeSealed(p.path, data)
	}
	if err != nil {
		delete(p.numbers, name)
		return logstorage.TenantID{}, fmt.Errorf("write project %s: %w", name, err)
	}
	return tenant(next), nil
}

// all returns every project with its tenant.
func (p *projects) all() map[signal.Project]logstorage.TenantID {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := make(map[signal.Project]logstorage.TenantID, len(p.numbers))
	for name, n := range p.numbers {
		out[name] = tenant(n)
	}
	return out
}

func tenant(n uint32) logstorage.TenantID { return logstorage.TenantID{ProjectID: n} }
