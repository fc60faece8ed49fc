// Package live knows which tasks run just now, who holds their work and when each last showed that it lives. It is a
// store.Observer: start records open a span, heartbeats are signs of life, the finished span closes it.
//
// Its memory is bounded: what shows no sign of life for ForgetAfter goes, and where more spans run than Config.Spans, the
// one that is silent for longest goes first and is counted.
package live

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// SilentAfter is the time without a heartbeat after which who holds the work counts as lost: three beats of 10 s,
	// and what a sender may take to deliver one.
	SilentAfter = 35 * time.Second
	// ForgetAfter is the time without any sign of life after which a task counts as failed.
	ForgetAfter = 10 * time.Minute
)

// Config bounds what is kept. The zero value of a field means its default.
type Config struct {
	// Spans bounds the spans that are followed at once: 100 000, about 500 bytes each.
	Spans int
	// Usual knows how long things take; nil knows nothing, and then nothing is stuck.
	Usual Usual
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
}

// recentlyEnded bounds the ended spans that are remembered, since a span may arrive before its start record.
const recentlyEnded = 50_000

// View is what runs now. It is safe for concurrent use.
type View struct {
	cfg Config

	mu       sync.Mutex
	running  map[key]*list.Element // of *span
	bySign   *list.List            // the one that is silent for longest first
	flows    map[taskRef]*flow
	ended    map[key]bool
	endOrder []key // a ring
	endNext  int
	dropped  uint64
	changed  chan struct{}
	done     chan struct{}
	// withdrawn are the spans that the last deletion took: a scrub puts them back.
	withdrawn map[key]bool
}

type key struct {
	project     signal.Project
	trace, span string
}

// span is a span that has begun and not ended.
type span struct {
	Project           signal.Project
	Trace, ID, Parent string
	Name, Agent       string
	Team, Task, Type  string
	Start, Sign       int64 // nanoseconds: of the sender's clock, of ours
	Provisional       bool  `json:",omitempty"`
	// Unstored: only heartbeats told of it, which are stored nowhere. Named: another row than its own told the Agent.
	Unstored bool `json:",omitempty"`
	Named    bool `json:",omitempty"`
}

// New returns an empty View.
func New(cfg Config) *View {
	if cfg.Spans <= 0 {
		cfg.Spans = 100_000
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &View{
		cfg: cfg, running: map[key]*list.Element{}, bySign: list.New(), flows: map[taskRef]*flow{}, ended: map[key]bool{},
		changed: make(chan struct{}), done: make(chan struct{}),
	}
}

// Committed implements store.Observer.
func (v *View) Committed(p signal.Project, rows []store.Row) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, changed := v.cfg.Clock().UnixNano(), false
	for i := range rows {
		switch r := &rows[i]; r.Kind {
		case store.KindStart, store.KindHeartbeat:
			changed = v.sign(p, r, now) || changed
		case store.KindSpan:
			if len(v.flows) > 0 {
				changed = v.follow(p, r, now) || changed
			}
			changed = v.end(p, r) || changed
		}
	}
	if changed {
		v.tell()
	}
}

// sign takes a sign of life and tells whether a span was not known before, or counted as lost.
func (v *View) sign(p signal.Project, r *store.Row, now int64) bool {
	k := key{p, r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}
	if e, ok := v.running[k]; ok {
		s := e.Value.(*span)
		back := now-s.Sign > int64(SilentAfter) // it counted as lost
		s.Sign = now
		s.Unstored = s.Unstored && r.Kind == store.KindHeartbeat
		v.bySign.MoveToBack(e)
		return s.named(r.Text(store.FieldAgent)) || back
	}
	if v.ended[k] {
		return false
	}
	s := spanOf(p, r, now)
	s.Unstored = r.Kind == store.KindHeartbeat
	v.put(s)
	return true
}

// named takes the agent's name that was not known when a span began, and tells whether it was not.
func (s *span) named(agent string) bool {
	if s.Agent != "" || agent == "" {
		return false
	}
	s.Agent, s.Named = strings.Clone(agent), true
	return true
}

func (v *View) put(s *span) {
	if len(v.running) >= v.cfg.Spans {
		v.forget(v.bySign.Front())
		v.dropped++
	}
	v.running[key{s.Project, s.Trace, s.ID}] = v.bySign.PushBack(s)
	f := v.flowOf(s, s.Sign)
	f.spans++
	f.Moved = max(f.Moved, s.Sign)
}

func (v *View) forget(e *list.Element) {
	s := v.bySign.Remove(e).(*span)
	delete(v.running, key{s.Project, s.Trace, s.ID})
	v.leave(s)
}

// spanOf copies what is needed of a row: rows must not be kept.
func spanOf(p signal.Project, r *store.Row, now int64) *span {
	text := func(field string) string { return strings.Clone(r.Text(field)) }
	s := &span{
		Project: p, Trace: text(store.FieldTraceID), ID: text(store.FieldSpanID),
		Parent: text(store.PrefixAttr + conv.AITeamSpanParentID), Name: text(store.PrefixAttr + conv.AITeamSpanName),
		Agent: text(store.FieldAgent), Team: text(store.FieldTeam), Task: text(store.FieldTaskID), Type: text(store.FieldTaskType),
		Provisional: r.Get(store.FieldTaskProvisional).Bool(), Start: r.Time, Sign: now,
	}
	if start := r.Get(store.PrefixAttr + conv.AITeamSpanStartTimeUnixNano).Int(); start > 0 {
		s.Start = start
	}
	return s
}

// end closes a span and tells whether it was known to run.
func (v *View) end(p signal.Project, r *store.Row) bool {
	k := key{p, r.Text(store.FieldTraceID), r.Text(store.FieldSpanID)}
	e, known := v.running[k]
	if known {
		v.forget(e)
	}
	// Only tasks and agents have start records and heartbeats that may still come.
	if name := r.Text(store.FieldName); known || name == "execute_task" || isAgent(name) {
		k.trace, k.span = strings.Clone(k.trace), strings.Clone(k.span)
		v.remember(k)
	}
	return known
}

func (v *View) remember(k key) {
	if v.ended[k] {
		return
	}
	if len(v.endOrder) < recentlyEnded {
		v.endOrder = append(v.endOrder, k)
	} else {
		delete(v.ended, v.endOrder[v.endNext])
		v.endOrder[v.endNext] = k
		v.endNext = (v.endNext + 1) % recentlyEnded
	}
	v.ended[k] = true
}

// Tick forgets what shows no sign of life any more, and wakes those who watch when somebody went silent.
func (v *View) Tick() {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Clock().UnixNano()
	for e := v.bySign.Front(); e != nil && now-e.Value.(*span).Sign > int64(ForgetAfter); e = v.bySign.Front() {
		v.forget(e)
	}
	if e := v.bySign.Front(); e != nil && now-e.Value.(*span).Sign > int64(SilentAfter) {
		v.tell()
		return
	}
	for _, f := range v.flows {
		if now-f.Moved > int64(stuckSilence) { // perhaps it is stuck now
			v.tell()
			return
		}
	}
}

// isAgent tells whether a span of that name is an agent at work.
func isAgent(name string) bool { return strings.HasPrefix(name, "invoke_agent ") }

// tell wakes all who wait for a change.
func (v *View) tell() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// Changed returns a channel that is closed when something begins, ends, goes silent or comes back.
func (v *View) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// Close ends the streams of those who watch. A second Close is a no-op.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.done:
	default:
		close(v.done)
	}
}

// Done returns a channel that Close closes.
func (v *View) Done() <-chan struct{} { return v.done }

// LastSign returns when the sender of a running span last showed that it lives, nanoseconds of the server's clock, and
// whether the span is known to run.
func (v *View) LastSign(p signal.Project, traceID, spanID string) (at int64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.running[key{p, traceID, spanID}]
	if !ok {
		return 0, false
	}
	return e.Value.(*span).Sign, true
}

// Running returns how many spans run, and how many were given up for want of room.
func (v *View) Running() (spans int, dropped uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.running), v.dropped
}
