package spanmetrics

import (
	"sync"

	"github.com/mindscope/mindscope/internal/signal"
)

// owners are the teams whose metrics are counted here: those that sent a span without saying that they count themselves
// (ai_team.metrics=sdk). It has a lock of its own, since it is asked for each sample that a sender brings.
type owners struct {
	mu sync.RWMutex
	// since is when the first such span began, nanoseconds, by project and team.
	since map[owner]int64
	// byProject is the same of a project's first team.
	byProject map[string]int64
}

// maxOwners bounds the teams that are told apart; with more, all teams of a project are one.
const maxOwners = 10_000

func newOwners() *owners { return &owners{since: map[owner]int64{}, byProject: map[string]int64{}} }

// note remembers the team of a span.
func (o *owners) note(p signal.Project, s *span) {
	if s.sdkMetrics {
		return
	}
	o.mu.RLock()
	_, known := o.since[owner{string(p), s.team}]
	o.mu.RUnlock()
	if !known {
		o.put(owner{string(p), s.team}, s.start)
	}
}

func (o *owners) put(who owner, start int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if first, ok := o.byProject[who.project]; !ok || start < first {
		o.byProject[who.project] = start
	}
	if len(o.since) < maxOwners {
		// The text is of a request whose memory is used again.
		o.since[owner{string([]byte(who.project)), string([]byte(who.team))}] = start
	}
}

// CountedSince tells whether, and since when, nanoseconds, the metrics of a team are counted here, so that series of the
// same names which a sender brings count the same things a second time. An empty team is any of the project's.
func (m *Metrics) CountedSince(project, team string) (start int64, counted bool) {
	o := m.owners
	o.mu.RLock()
	defer o.mu.RUnlock()
	if team == "" || len(o.since) >= maxOwners {
		start, counted = o.byProject[project]
		return start, counted
	}
	start, counted = o.since[owner{project, team}]
	return start, counted
}

// ownerState is an owner as it is saved.
type ownerState struct {
	Project string `json:"p"`
	Team    string `json:"t"`
	Since   int64  `json:"s"`
}

func (o *owners) save() []ownerState {
	o.mu.RLock()
	defer o.mu.RUnlock()
	all := make([]ownerState, 0, len(o.since))
	for who, since := range o.since {
		all = append(all, ownerState{who.project, who.team, since})
	}
	return all
}

func (o *owners) load(all []ownerState) {
	for _, s := range all {
		o.put(owner{s.Project, s.Team}, s.Since)
	}
}
