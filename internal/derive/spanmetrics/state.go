package spanmetrics

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"github.com/mindscope/mindscope/internal/store"
)

// stateVersion is written into the state; another one can't be read.
const stateVersion = 1

// state is what survives a restart. Exemplars don't.
type state struct {
	Version           int                     `json:"version"`
	Series            map[string][]*series    `json:"series"`
	Running           []*attempt              `json:"running"`
	Ended, Below      []string                `json:",omitempty"`
	Owners            []ownerState            `json:",omitempty"`
	Nested            map[string][]nestedCall `json:",omitempty"`
	Capped, Overflows uint64
}

// Save writes the state as the rows committed so far made it. The store keeps it with the position of its log.
func (m *Metrics) Save(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string][]*series{}
	for name, v := range m.vectors {
		for _, key := range slices.Sorted(maps.Keys(v.series)) {
			all[name] = append(all[name], v.series[key])
		}
	}
	s := store.NewStateWriter(w)
	s.Field("version", stateVersion)
	s.Field("series", all)
	store.StateList(s, "running", func(yield func(*attempt) bool) {
		for e := m.flight.oldest.Front(); e != nil && yield(e.Value.(*attempt)); e = e.Next() {
		}
	})
	store.StateList(s, "Ended", m.flight.ended.keys())
	store.StateList(s, "Below", m.below.keys())
	s.Field("Owners", m.owners.save())
	s.Field("Nested", m.nested.waiting)
	s.Field("Capped", m.capped)
	s.Field("Overflows", m.overflows)
	return s.End()
}

// Load replaces the state by a saved one. Call it before the first row.
func (m *Metrics) Load(raw []byte) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("decode state of metrics: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("decode state of metrics: version %d, this release reads %d", s.Version, stateVersion)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capped, m.overflows = s.Capped, s.Overflows
	m.owners.load(s.Owners)
	for key, calls := range s.Nested {
		m.nested.put(key, calls...)
	}
	for name, all := range s.Series {
		v, ok := m.vectors[name]
		if !ok {
			continue // a metric of a release before
		}
		for _, one := range all {
			if len(one.Values) != len(v.labels) {
				continue
			}
			m.adopt(v, one)
		}
	}
	now := m.cfg.Clock().UnixNano()
	for _, a := range s.Running {
		a.Seen = now // while the server was down nobody could hear a sign of life
		m.flight.put(a)
	}
	for _, key := range s.Ended {
		m.flight.ended.addKey(key)
	}
	for _, key := range s.Below {
		m.below.addKey(key)
	}
	return nil
}

func (m *Metrics) adopt(v *vector, one *series) {
	s := v.open(one.Values, one.Created)
	s.Sum, s.Exact, s.Count, s.Zero = one.Sum, one.Exact, one.Count, one.Zero
	if len(one.Buckets) == len(s.Buckets) {
		s.Buckets = one.Buckets
	}
	if one.Native != nil {
		s.Native = one.Native
	}
	for i, value := range one.Values {
		v.seen[i][value] = struct{}{}
	}
}

// keys returns what is remembered, the older first.
func (r *recent) keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, keys := range []map[string]struct{}{r.old, r.now} {
			for key := range keys {
				if !yield(key) {
					return
				}
			}
		}
	}
}
