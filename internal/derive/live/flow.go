package live

import (
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// pingPong is how often the same two agents must hand the work over to each other, without the quality rising by
	// pingPongGain, to be seen as going round in circles.
	pingPong     = 4
	pingPongGain = 0.5
	// maxOpen bounds the commands without an answer that are remembered of one task.
	maxOpen = 100
)

// taskRef names a task within all projects.
type taskRef struct {
	Project  signal.Project
	Team, ID string
}

// flow is how work goes through a task that runs.
type flow struct {
	taskRef
	spans int // that run
	// Moved is when the last span of it came, by our clock.
	Moved int64
	// Open are commands without an answer, oldest first.
	Open []command `json:",omitempty"`
	// Last is who got the last command. Pair are the two agents that hand over to each other, Count how often in a row
	// since the quality rose from Base.
	Last  string    `json:",omitempty"`
	Pair  [2]string `json:",omitzero"`
	Count int       `json:",omitempty"`
	// Quality is the last score, Base that at the first handover of the pair; nil for none.
	Quality, Base *float64 `json:",omitempty"`
}

// command is work that an agent gave to another.
type command struct {
	ID, From, To string
	Sent         int64 // by the sender's clock
}

// flowOf returns the flow of the task that a span belongs to.
func (v *View) flowOf(s *span, now int64) *flow {
	ref := taskRef{s.Project, s.Team, s.Task}
	f := v.flows[ref]
	if f == nil {
		f = &flow{taskRef: ref, Moved: now}
		v.flows[ref] = f
	}
	return f
}

// leave takes a span that no longer runs out of its task, which goes with the last one.
func (v *View) leave(s *span) {
	ref := taskRef{s.Project, s.Team, s.Task}
	if f := v.flows[ref]; f != nil {
		if f.spans--; f.spans <= 0 {
			delete(v.flows, ref)
		}
	}
}

// told is what an ended span says of the way of the work.
type told struct {
	team, task                  string
	kind, messageType, from, to string
	id, correlation             string
	trace, parent               string
	quality                     float64
	scored                      bool
}

func read(r *store.Row) told {
	var t told
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Name {
		case store.FieldTeam:
			t.team = f.Value.Text()
		case store.FieldTaskID:
			t.task = f.Value.Text()
		case store.FieldTraceID:
			t.trace = f.Value.Text()
		case store.FieldParentSpanID:
			t.parent = f.Value.Text()
		case store.FieldSpanKind:
			t.kind = f.Value.Text()
		case store.FieldQuality:
			t.quality, t.scored = f.Value.Number()
		case store.PrefixAttr + conv.AITeamMessageType:
			t.messageType = f.Value.Text()
		case store.PrefixAttr + conv.AITeamMessageFromAgent:
			t.from = f.Value.Text()
		case store.PrefixAttr + conv.AITeamMessageToAgent:
			t.to = f.Value.Text()
		case store.PrefixAttr + conv.MessagingMessageID:
			t.id = f.Value.Text()
		case store.PrefixAttr + conv.MessagingMessageConversationID:
			t.correlation = f.Value.Text()
		}
	}
	return t
}

// follow notes what an ended span tells of a task that runs, and whether that changes what is seen.
func (v *View) follow(p signal.Project, r *store.Row, now int64) bool {
	t := read(r)
	f := v.flows[taskRef{p, t.team, t.task}]
	if f == nil {
		return false
	}
	changed := t.scored || now-f.Moved >= int64(stuckSilence) // perhaps it was stuck
	f.Moved = now
	if t.scored {
		f.judged(t.quality)
	}
	switch {
	case t.kind != "producer":
		return changed
	case t.messageType == "COMMAND":
		if e, ok := v.running[key{p, t.trace, t.parent}]; ok { // who sends from a task's span is the one who holds it
			e.Value.(*span).named(t.from)
		}
		f.handed(command{strings.Clone(t.id), strings.Clone(t.from), strings.Clone(t.to), r.Time})
	case t.messageType == "RESULT", t.messageType == "ERROR":
		f.answered(t)
	default:
		return changed
	}
	return true
}

// handed takes a command. Work that comes back through one who gives all orders, and goes to another, is handed over
// from the one to the other.
func (f *flow) handed(c command) {
	if len(f.Open) >= maxOpen {
		f.Open = slices.Delete(f.Open, 0, 1)
	}
	f.Open = append(f.Open, c)
	by := c.From
	if f.Last != "" && f.Last != c.From {
		by = f.Last
	}
	f.Last = c.To
	if by == c.To || by == "" || c.To == "" {
		return
	}
	if f.Pair == [2]string{by, c.To} || f.Pair == [2]string{c.To, by} {
		f.Count++
		return
	}
	f.Pair, f.Count, f.Base = [2]string{by, c.To}, 1, f.Quality
}

// answered takes an answer: by the command's id, else to the oldest command to who answers.
func (f *flow) answered(t told) {
	at := slices.IndexFunc(f.Open, func(c command) bool { return c.ID == t.correlation && t.correlation != "" })
	if at < 0 {
		at = slices.IndexFunc(f.Open, func(c command) bool { return c.To == t.from && (t.to == "" || c.From == t.to) })
	}
	if at >= 0 {
		f.Open = slices.Delete(f.Open, at, at+1)
	}
}

// judged takes a score. One that is so much better begins the count anew.
func (f *flow) judged(score float64) {
	f.Quality = &score
	switch {
	case f.Base == nil:
		f.Base = &score
	case score >= *f.Base+pingPongGain:
		f.Base, f.Count = &score, 0
	}
}

// circles returns the two agents that go round in circles, and how often, 0 for none.
func (f *flow) circles() (pair [2]string, times int) {
	if f.Count < pingPong {
		return pair, 0
	}
	return f.Pair, f.Count
}

// Usual knows how long things take: the 95th percentile of a kind, false where too few were seen.
type Usual interface {
	Task(p signal.Project, team, taskType string) (time.Duration, bool)
	Agent(p signal.Project, team, agent string) (time.Duration, bool)
}

const (
	// stuckFactor times the 95th percentile of its type is how long a task may run, when stuckSilence goes by without a
	// new span. Heartbeats are no progress.
	stuckFactor  = 3
	stuckSilence = time.Minute
)
