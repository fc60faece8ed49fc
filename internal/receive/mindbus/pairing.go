package mindbus

import (
	"container/list"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/conv"
)

// pairing puts commands and answers together. It is one goroutine's.
type pairing struct {
	cfg    Config
	out    *writer
	hold   *hold
	counts *counters

	seen     *recent // ids of messages
	answered *recent // ids of commands, with what became of them
	pending  map[string]*job
	byAge    *list.List      // of *job, the oldest first
	busy     map[desk][]*job // what an agent works on, by task
	tasks    map[string]*task
	byUse    *list.List        // of *task, the one that is quiet for longest first
	agents   map[string]tracer // what is known of an agent
	// traced is true once anybody sent a trace context: until then nobody in the team traces.
	traced bool
	beat   time.Time
}

type desk struct{ agent, task string }

// tracer says whether an agent sends telemetry itself.
type tracer uint8

const (
	unknown tracer = iota
	bare
	traces
)

// job is a command that waits for its answer.
type job struct {
	msg     *message
	place   *list.Element
	trace   [16]byte
	process [8]byte // its consumer's span, whose parent is above
	above   [8]byte
	work    span // the agent's span as far as it is known
	begun   bool // told as running
	task    *task
	root    bool // nobody in the team gave it: it is the task
}

// task is the work on a task in which nobody sends telemetry.
type task struct {
	id          string
	place       *list.Element
	work        span
	begun       bool
	last        time.Time
	open        int
	failed      bool
	cause       string
	mixed       bool // somebody traces: the task's span is theirs
	lastMessage time.Time
}

func newPairing(cfg Config, out *writer, h *hold, c *counters) *pairing {
	return &pairing{
		cfg: cfg, out: out, hold: h, counts: c,
		seen: newRecent(cfg.MaxPending), answered: newRecent(cfg.MaxPending),
		pending: map[string]*job{}, byAge: list.New(), busy: map[desk][]*job{},
		tasks: map[string]*task{}, byUse: list.New(), agents: map[string]tracer{},
	}
}

// maxAgents bounds what is remembered of agents; a team has few.
const maxAgents = 10_000

// take reads one delivery.
func (p *pairing) take(d Delivery, now time.Time) {
	read, bad := decode(d, p.cfg.MaxBody, now)
	m := &read
	if bad != nil {
		p.counts.message(bad.reason)
		p.out.unreadable(m, bad)
		return
	}
	if !p.seen.add(m.from+"\x00"+m.id, "") {
		p.counts.message("repeated")
		return
	}
	if skew := m.at.Sub(now); skew > p.cfg.MaxSkew || skew < -p.cfg.MaxSkew {
		p.counts.skewed.Add(1)
		m.skew, m.at = skew, now
	}
	p.know(m)
	switch m.kind {
	case command:
		p.counts.message("command")
		p.command(m, now)
	case result, failure:
		p.counts.message("answer")
		p.answer(m, now)
	default:
		if m.kind == other {
			p.counts.message("unknown_type")
		} else {
			p.counts.message("event")
		}
		p.event(m, now)
	}
}

// know notes whether the sender traces.
func (p *pairing) know(m *message) {
	p.traced = p.traced || m.hop.ok
	if _, known := p.agents[m.from]; !known && len(p.agents) >= maxAgents {
		return
	}
	p.agents[m.from] = bare
	if m.hop.ok {
		p.agents[m.from] = traces
	}
}

// tracesNot tells whether an agent surely sends no telemetry.
func (p *pairing) tracesNot(agent string) bool {
	return p.agents[agent] == bare || p.agents[agent] == unknown && !p.traced
}

// tell sends a span on, or holds it when who did the work may tell of it too.
func (p *pairing) tell(s *span, consumer, wait bool, now time.Time) {
	if !wait {
		p.out.add(s)
		return
	}
	by := side{s.msg.id, consumer}
	if p.hold.yielded(by) {
		p.counts.yielded.Add(1)
		return
	}
	if !p.hold.put(by, s, now) {
		p.counts.dropped.Add(1)
	}
}

// send tells of the message itself and returns where it stands in its trace: what the receiver's span hangs under.
func (p *pairing) send(m *message, trace [16]byte, parent [8]byte, problem string, now time.Time) [8]byte {
	s := &span{role: roleSend, trace: trace, id: spanID("send", m.from, m.id), parent: parent, start: m.at, end: m.at, msg: m, problem: problem}
	p.tell(s, false, m.hop.ok, now)
	if m.hop.ok {
		return m.hop.span // the sender's own
	}
	return s.id
}

// above finds what a message without trace context came out of: the work its sender does for the task, else the task.
func (p *pairing) above(m *message, now time.Time) (trace [16]byte, parent [8]byte, from *job, of *task) {
	if t := p.tasks[m.task]; t != nil {
		of = t
	}
	switch j := p.pending[m.correlation]; {
	case m.hop.ok:
		if of != nil {
			of.mixed = true
		}
		return m.hop.trace, m.hop.span, nil, of
	case j != nil && j.msg.to == m.from:
		return j.trace, j.work.id, j, of
	}
	if jobs := p.busy[desk{m.from, m.task}]; len(jobs) > 0 {
		j := jobs[len(jobs)-1]
		return j.trace, j.work.id, j, of
	}
	if m.task == "" {
		return traceID("message", m.from+"\x00"+m.id), parent, nil, nil
	}
	if of == nil && m.kind == command {
		of = p.begin(m, now)
	}
	if of == nil { // work began before the tap was there, or is none
		return traceID("task", m.team+"\x00"+m.task), parent, nil, nil
	}
	return of.work.trace, of.work.id, nil, of
}

func (p *pairing) command(m *message, now time.Time) {
	trace, parent, from, t := p.above(m, now)
	sent := p.send(m, trace, parent, "", now)
	if p.pending[m.id] != nil || m.to == "" {
		p.counts.message("command_id_taken")
		return
	}
	j := &job{
		msg: m, trace: trace, above: sent, process: spanID("process", m.from, m.id),
		task: t, root: from == nil && !m.hop.ok,
	}
	j.work = span{role: roleAgent, trace: trace, id: spanID("agent", m.from, m.id), parent: j.process, start: m.at, msg: m}
	if len(p.pending) >= p.cfg.MaxPending {
		p.counts.dropped.Add(1)
		p.finish(p.byAge.Front().Value.(*job))
	}
	p.pending[m.id] = j
	j.place = p.byAge.PushBack(j)
	at := desk{m.to, m.task}
	p.busy[at] = append(p.busy[at], j)
	if t != nil {
		t.open++
		p.touch(t, m, now)
	}
	if p.tracesNot(m.to) {
		j.begun = true
		p.out.running(conv.EventAITeamSpanStarted, &j.work, now)
	}
}

// finish takes a job off the desk.
func (p *pairing) finish(j *job) {
	delete(p.pending, j.msg.id)
	p.byAge.Remove(j.place)
	at := desk{j.msg.to, j.msg.task}
	jobs := p.busy[at]
	for i, one := range jobs {
		if one == j {
			jobs = append(jobs[:i:i], jobs[i+1:]...)
			break
		}
	}
	if len(jobs) == 0 {
		delete(p.busy, at)
	} else {
		p.busy[at] = jobs
	}
	if j.task != nil {
		j.task.open--
	}
}

func (p *pairing) answer(m *message, now time.Time) {
	j := p.pending[m.correlation]
	if j == nil {
		p.strayAnswer(m, now)
		return
	}
	p.finish(j)
	p.answered.add(m.correlation, "duplicate")
	p.close(j, m, m.at, "", now)
	trace, parent := j.trace, j.work.id
	if m.hop.ok {
		trace, parent = m.hop.trace, m.hop.span
	}
	p.send(m, trace, parent, "", now)
	if m.kind == failure {
		p.out.log(m, trace, parent, plog.SeverityNumberError, "", m.errorCode+": "+m.errorMessage)
	}
	if t := j.task; t != nil {
		p.touch(t, m, now)
		if j.root {
			t.failed, t.cause = m.kind == failure, m.errorMessage
		}
	}
}

// close tells of the work on a command: that its agent had it, and what it did.
func (p *pairing) close(j *job, answer *message, end time.Time, problem string, now time.Time) {
	if end.Before(j.work.start) { // the two clocks differ: the tap's own saw both
		end = j.work.start.Add(max(0, now.Sub(j.msg.received)))
	}
	wait := !p.tracesNot(j.msg.to)
	if answer != nil {
		wait = answer.hop.ok
	}
	process := &span{
		role: roleProcess, trace: j.trace, id: j.process, parent: j.above, start: j.work.start, end: end,
		msg: j.msg, answer: answer, problem: problem,
	}
	work := j.work
	work.end, work.answer, work.problem = end, answer, problem
	p.tell(process, true, wait, now)
	if wait && j.begun { // it was told as running: it has to end, without what its agent tells itself
		work.answer = nil
		p.out.add(&work)
		return
	}
	p.tell(&work, true, wait, now)
}

// strayAnswer tells of an answer that no command waits for.
func (p *pairing) strayAnswer(m *message, now time.Time) {
	problem := "unmatched"
	if word, known := p.answered.words[m.correlation]; known {
		problem = word
		p.answered.add(m.correlation, "duplicate")
	}
	p.counts.stray(problem)
	trace, parent, _, t := p.above(m, now)
	p.send(m, trace, parent, problem, now)
	body := map[string]string{
		"unmatched": "an answer to command %q, which was not seen",
		"late":      "the answer to command %q came after it was given up",
		"duplicate": "command %q was answered before",
	}[problem]
	p.out.log(m, trace, parent, plog.SeverityNumberWarn, problem, fmt.Sprintf(body, m.correlation))
	if t != nil {
		p.touch(t, m, now)
	}
}

func (p *pairing) event(m *message, now time.Time) {
	trace, parent, _, t := p.above(m, now)
	at := p.send(m, trace, parent, "", now)
	p.out.log(m, trace, at, plog.SeverityNumberInfo, "", m.text)
	m.text = "" // the spans of the message may be held for long
	if t == nil {
		return
	}
	p.touch(t, m, now)
	if m.kind != event {
		return
	}
	switch m.to {
	case "task.completed":
		t.failed = false
		p.end(t)
	case "task.failed", "task.cancelled":
		t.failed, t.cause = true, m.to
		p.end(t)
	}
}

// begin makes the span of a task in which nobody traces, with its first message.
func (p *pairing) begin(m *message, now time.Time) *task {
	if len(p.tasks) >= p.cfg.MaxPending {
		p.counts.dropped.Add(1)
		p.end(p.byUse.Front().Value.(*task))
	}
	t := &task{id: m.task, last: m.at, lastMessage: now}
	t.work = span{
		role: roleTask, trace: traceID("task", m.team+"\x00"+m.task), id: spanID("task", m.from, m.id), start: m.at, msg: m,
	}
	t.place = p.byUse.PushBack(t)
	p.tasks[m.task] = t
	if !p.traced {
		t.begun = true
		p.out.running(conv.EventAITeamSpanStarted, &t.work, now)
	}
	return t
}

func (p *pairing) touch(t *task, m *message, now time.Time) {
	if m.at.After(t.last) {
		t.last = m.at
	}
	t.lastMessage = now
	if p.tasks[t.id] == t {
		p.byUse.MoveToBack(t.place)
	}
}

// end tells of a task that is over, unless its own people do.
func (p *pairing) end(t *task) {
	if p.tasks[t.id] != t {
		return
	}
	delete(p.tasks, t.id)
	p.byUse.Remove(t.place)
	if t.mixed && !t.begun {
		return
	}
	s := t.work
	s.end, s.failed, s.cause = t.last, t.failed, t.cause
	p.out.add(&s)
}

// tick looks at the clock: gives up what waited too long, ends quiet tasks, beats, and lets go of what was held.
func (p *pairing) tick(now time.Time) {
	for e := p.byAge.Front(); e != nil; e = p.byAge.Front() {
		j := e.Value.(*job)
		if now.Sub(j.msg.received) < p.cfg.AnswerWithin {
			break
		}
		p.finish(j)
		p.answered.add(j.msg.id, "late")
		p.counts.stray("missing")
		p.close(j, nil, j.work.start.Add(now.Sub(j.msg.received)), "missing", now)
		p.out.log(j.msg, j.trace, j.work.id, plog.SeverityNumberWarn, "missing",
			fmt.Sprintf("%s did not answer within %s", j.msg.to, p.cfg.AnswerWithin))
		if t := j.task; t != nil {
			t.last, t.lastMessage = now, now
			if j.root {
				t.failed, t.cause = true, j.msg.to+" did not answer"
			}
		}
	}
	for e := p.byUse.Front(); e != nil; {
		t, next := e.Value.(*task), e.Next()
		if now.Sub(t.lastMessage) < p.cfg.Quiet {
			break
		}
		if t.open == 0 {
			p.end(t)
		}
		e = next
	}
	if now.Sub(p.beat) >= beatInterval {
		p.beat = now
		p.heartbeats(now)
	}
	p.counts.yielded.Add(uint64(p.hold.due(now, p.out.add)))
}

// beatInterval is how often running work shows that it lives, as the SDK does.
const beatInterval = 10 * time.Second

func (p *pairing) heartbeats(now time.Time) {
	for e := p.byAge.Front(); e != nil; e = e.Next() {
		if j := e.Value.(*job); j.begun {
			p.out.running(conv.EventAITeamSpanHeartbeat, &j.work, now)
		}
	}
	for e := p.byUse.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*task); t.begun {
			p.out.running(conv.EventAITeamSpanHeartbeat, &t.work, now)
		}
	}
}

// drain lets go of everything that is held, at the end.
func (p *pairing) drain(now time.Time) {
	p.counts.yielded.Add(uint64(p.hold.due(now.Add(p.cfg.Hold), p.out.add)))
}
