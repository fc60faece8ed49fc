package live

import (
	"container/list"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/mindscope/mindscope/internal/store"
)

// stateVersion is written into the state; another one can't be read.
const stateVersion = 1

type state struct {
	Version int
	Running []*span
	Flows   []*flow `json:",omitempty"`
	Dropped uint64
}

// Save writes the state as the rows committed so far made it. The store keeps it with the position of its log.
func (v *View) Save(w io.Writer) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := store.NewStateWriter(w)
	s.Field("Version", stateVersion)
	store.StateList(s, "Running", func(yield func(*span) bool) {
		for e := v.bySign.Front(); e != nil && yield(e.Value.(*span)); e = e.Next() {
		}
	})
	store.StateList(s, "Flows", maps.Values(v.flows))
	s.Field("Dropped", v.dropped)
	return s.End()
}

// Load replaces the state by a saved one. Nobody counts as silent for the time in which the server was not there to
// hear. Call it before the first row.
func (v *View) Load(raw []byte) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("decode state of running tasks: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("decode state of running tasks: version %d, this release reads %d", s.Version, stateVersion)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running = map[key]*list.Element{}
	v.bySign.Init()
	v.flows = map[taskRef]*flow{}
	v.dropped = s.Dropped
	now := v.cfg.Clock().UnixNano()
	for _, one := range s.Running {
		if one == nil || v.running[key{one.Project, one.Trace, one.ID}] != nil {
			continue
		}
		one.Sign = now
		v.put(one)
	}
	for _, f := range s.Flows {
		if f != nil && v.flows[f.taskRef] != nil {
			f.spans, f.Moved = v.flows[f.taskRef].spans, now
			v.flows[f.taskRef] = f
		}
	}
	return nil
}
