// Package due knows which tasks have come to rest and are due to be looked at as a whole: the ledger accounts for them
// then. It is a store.Observer. A task is due when its end was seen and nothing of it has come for a while, or when
// nothing has come for so long that no end will. Whatever comes later makes it due anew.
//
// Its memory is bounded: where more tasks move than Config.Tasks, the one that rests for longest is given up and counted.
package due

import (
	"container/list"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Config bounds what is kept. The zero value of a field means its default.
type Config struct {
	// Settle is how long nothing of an ended task has come when it is due: a minute, since spans come late.
	Settle time.Duration
	// GiveUp is the same for a task whose end was not seen: eleven minutes, a minute after it counts as failed.
	GiveUp time.Duration
	// Tasks bounds the tasks that are followed at once: 100 000, about 300 bytes each.
	Tasks int
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
}

// Task names a task. Tasks that nobody named are not followed.
type Task struct {
	Project  signal.Project
	Team, ID string
}

// Tasks are those that move, and those that are due. It is safe for concurrent use.
type Tasks struct {
	cfg Config

	mu     sync.Mutex
	byTask map[Task]*list.Element // of *entry
	byMove *list.List             // the one that rests for longest first
	asked  int64                  // when Due answered last
	// withdrawn are the tasks that the last deletion took: a scrub puts them back.
	withdrawn map[Task]*entry
	dropped   uint64
}

type entry struct {
	Task
	// Moved is when the last row of it came, nanoseconds of our clock.
	Moved int64
	Ended bool `json:",omitempty"`
	// Tries is how often it was looked at in vain.
	Tries int `json:",omitempty"`
}

// maxTries is how often a task is looked at in vain before it is given up: for an hour at least with the default Settle.
const maxTries = 60

// New returns Tasks that know of none.
func New(cfg Config) *Tasks {
	if cfg.Settle <= 0 {
		cfg.Settle = time.Minute
	}
	if cfg.GiveUp <= 0 {
		cfg.GiveUp = 11 * time.Minute
	}
	if cfg.Tasks <= 0 {
		cfg.Tasks = 100_000
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Tasks{cfg: cfg, byTask: map[Task]*list.Element{}, byMove: list.New()}
}

// Committed implements store.Observer.
func (t *Tasks) Committed(p signal.Project, rows []store.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Clock().UnixNano()
	for i := range rows {
		switch r := &rows[i]; r.Kind {
		case store.KindSpan, store.KindStart, store.KindHeartbeat:
			t.move(p, r, now)
		}
	}
}

func (t *Tasks) move(p signal.Project, r *store.Row, now int64) {
	task := Task{Project: p}
	ended := false
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.Name {
		case store.FieldTeam:
			task.Team = f.Value.Text()
		case store.FieldTaskID:
			task.ID = f.Value.Text()
		case store.FieldTaskProvisional:
			return
		case store.FieldOperation:
			ended = r.Kind == store.KindSpan && f.Value.Text() == "invoke_workflow"
		}
	}
	if task.ID == "" {
		return
	}
	if e, ok := t.byTask[task]; ok {
		one := e.Value.(*entry)
		one.Moved, one.Ended = now, one.Ended || ended
		t.byMove.MoveToBack(e)
		return
	}
	task.Team, task.ID = strings.Clone(task.Team), strings.Clone(task.ID)
	t.put(&entry{Task: task, Moved: now, Ended: ended})
}

func (t *Tasks) put(e *entry) {
	if len(t.byTask) >= t.cfg.Tasks {
		t.drop(t.byMove.Front())
		t.dropped++
	}
	t.byTask[e.Task] = t.byMove.PushBack(e)
}

func (t *Tasks) drop(e *list.Element) {
	delete(t.byTask, t.byMove.Remove(e).(*entry).Task)
}

// Due returns tasks that are due, at most limit, all of one project and team, the one that rests for longest first. They
// stay due until Done, Failed or Postpone.
func (t *Tasks) Due(limit int) []Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Clock().UnixNano()
	t.asked = now
	var out []Task
	for e := t.byMove.Front(); e != nil && len(out) < limit; e = e.Next() {
		one := e.Value.(*entry)
		rested := time.Duration(now - one.Moved)
		if rested < t.cfg.Settle {
			break
		}
		if !one.Ended && rested < t.cfg.GiveUp {
			continue
		}
		if len(out) == 0 || out[0].Project == one.Project && out[0].Team == one.Team {
			out = append(out, one.Task)
		}
	}
	return out
}

// Done takes tasks off that Due gave last, unless something of them has come since, however long the look took.
func (t *Tasks) Done(tasks []Task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, task := range tasks {
		if e, ok := t.byTask[task]; ok && time.Duration(t.asked-e.Value.(*entry).Moved) >= t.cfg.Settle {
			t.drop(e)
		}
	}
}

// Postpone puts tasks off that can't be looked at now, as if something of them had just come: others are due before them.
func (t *Tasks) Postpone(tasks []Task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, task := range tasks {
		if e, ok := t.byTask[task]; ok {
			t.postpone(e)
		}
	}
}

// Failed postpones a task that was looked at in vain, and gives it up after so many times.
func (t *Tasks) Failed(task Task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.byTask[task]
	if !ok {
		return
	}
	one := e.Value.(*entry)
	if one.Tries++; one.Tries >= maxTries {
		t.drop(e)
		t.dropped++
		return
	}
	t.postpone(e)
}

func (t *Tasks) postpone(e *list.Element) {
	e.Value.(*entry).Moved = t.cfg.Clock().UnixNano()
	t.byMove.MoveToBack(e)
}

// Count returns how many tasks are followed, and how many were given up: for want of room, or looked at in vain too often.
func (t *Tasks) Count() (tasks int, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byTask), t.dropped
}

// stateVersion is written into the state; another one can't be read.
const stateVersion = 1

type state struct {
	Version int
	Tasks   []*entry
	Dropped uint64
}

// Save writes the state as the rows committed so far made it. The store keeps it with the position of its log.
func (t *Tasks) Save(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := store.NewStateWriter(w)
	s.Field("Version", stateVersion)
	store.StateList(s, "Tasks", func(yield func(*entry) bool) {
		for e := t.byMove.Front(); e != nil && yield(e.Value.(*entry)); e = e.Next() {
		}
	})
	s.Field("Dropped", t.dropped)
	return s.End()
}

// Load replaces the state by a saved one. Tasks rest from now on: while the server was down nobody could hear of them.
// Call it before the first row.
func (t *Tasks) Load(raw []byte) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("decode state of due tasks: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("decode state of due tasks: version %d, this release reads %d", s.Version, stateVersion)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byTask = map[Task]*list.Element{}
	t.byMove.Init()
	t.dropped = s.Dropped
	now := t.cfg.Clock().UnixNano()
	for _, one := range s.Tasks {
		if one == nil || t.byTask[one.Task] != nil {
			continue
		}
		one.Moved = now
		t.put(one)
	}
	return nil
}
