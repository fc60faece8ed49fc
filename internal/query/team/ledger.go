package team

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Hop is a place that a task's id and trace must survive.
type Hop string

// The five hops of the domain, and the spans of the work itself, which the others hang under.
const (
	HopMessage  Hop = "message"
	HopLLM      Hop = "llm"
	HopRecord   Hop = "record"
	HopArtifact Hop = "artifact"
	HopLog      Hop = "log"
	HopSpan     Hop = "span"
)

// AllHops returns all hops in the order of an account.
func AllHops() []Hop { return []Hop{HopMessage, HopLLM, HopRecord, HopArtifact, HopLog, HopSpan} }

// Account is what was expected of a task on one hop, and what was found in order.
type Account struct {
	Hop Hop
	// Expected counts what is there and what must be there by the rest: messages, calls of models, records, artifacts, log
	// lines, spans. Found counts those in order, at most Expected.
	Expected, Found int
	// Unknown names the agents that took part and never report this hop: of them nothing is expected.
	Unknown []string
}

// Missing is what was expected and is not there or not in order.
func (a Account) Missing() int { return a.Expected - a.Found }

// The kinds of findings.
const (
	NotConsumed   = "not_consumed"   // a message was sent and never taken
	NotAnswered   = "not_answered"   // a command was taken and never answered
	AnsweredTwice = "answered_twice" // a command has several answers
	AnswersNone   = "answers_none"   // an answer to no command
	NoUsage       = "no_usage"       // a call of a model that succeeded and reports no tokens
	NoTaskID      = "no_task_id"     // something of the task does not carry its id
	Orphan        = "orphan"         // a span whose parent never arrived
	MissingRoot   = "missing_root"   // a trace whose root never arrived
	NewTrace      = "new_trace"      // an agent began a trace of its own instead of continuing
	NotEnded      = "not_ended"      // an agent began work that never ended
	ClockOff      = "clock"          // an agent's clock is far from the others'
	Cycle         = "cycle"          // spans that are their own ancestors
)

// Finding is one thing that the ledger found wrong: where the id was lost, in words.
type Finding struct {
	Kind string
	Hop  Hop
	// Agent is at whom it was lost, "" when nothing tells.
	Agent string
	// Peer tells findings of one kind apart: the other agent, the trace.
	Peer string
	// Count is how many things it is about.
	Count int
	Text  string
	// TraceID and SpanID are where it is seen first; either may be "".
	TraceID, SpanID string
}

// Ledger is the account of a task's hops.
type Ledger struct {
	ID, Team, Type, Status string
	// Provisional: the sender named no task; the id is the trace's, and nobody is expected to carry one.
	Provisional bool
	Traces      []string
	// Joined are the traces that name no task and were found to belong to this one.
	Joined   []Join
	Accounts []Account
	// Score is the mean of found/expected over the hops of which anything is expected, in percent, rounded down to a
	// tenth; 100 when nothing is expected.
	Score    float64
	Findings []Finding
	// Open: the task still runs. What is not there yet is not missing.
	Open bool
	// Cut and Partial: not all of the task was looked at.
	Cut, Partial bool
}

// Complete tells whether nothing was found wrong.
func (l *Ledger) Complete() bool { return len(l.Findings) == 0 }

// item is one thing that was expected.
type item struct {
	hop Hop
	bad bool
	n   int // how many; more than one only for log lines
}

// findingKey tells findings apart: what is alike is one finding with a count.
type findingKey struct {
	kind        string
	hop         Hop
	agent, peer string
}

// noted is a finding in the making.
type noted struct {
	Finding
	first int // the span where it was seen first, -1 for none
	say   func(*noted) string
	what  []string // names of what it is about, distinct
}

// audit is the examination of one task.
type audit struct {
	fold   *Fold
	t      *forest
	lines  []lineGroup
	joined map[string]Join // by trace
	habits habits
	// open: what is not there may still come.
	open bool
	// named: somebody names the task, so that all are expected to.
	named bool

	items    []item
	spanItem []int // the item of a span, -1 for none
	messages []*message
	ofSpan   map[int]*message
	notes    map[findingKey]*noted
	// mute: agents whose messages nobody could judge, since they never report some part of them.
	mute map[string]bool
	// byMessage are the joined traces that went on from a message.
	byMessage map[*message][]Join
	rooted    map[string]bool // traces that have a root
	// guessed are absent parents that are the receiver's span of a message, as the work below tells.
	guessed map[SpanID]*message
}

// examine accounts for one task.
func examine(f *Fold, lines []lineGroup, joined map[string]Join, h habits, now int64) *audit {
	a := &audit{
		fold: f, t: f.arrange(), lines: lines, joined: joined, habits: h,
		ofSpan: map[int]*message{}, notes: map[findingKey]*noted{}, mute: map[string]bool{},
		byMessage: map[*message][]Join{}, rooted: map[string]bool{}, guessed: map[SpanID]*message{},
	}
	sum := f.Summary(now)
	a.open = sum.Status == Running
	a.named = !sum.Provisional
	a.spanItem = make([]int, len(f.spans))
	for i := range f.spans {
		a.spanItem[i] = -1
	}
	a.habits.learn(a)
	a.matchMessages()
	a.classify()
	a.checkStructure()
	a.checkMessages()
	a.checkClocks()
	a.checkCalls()
	a.checkNames()
	a.checkLines()
	return a
}

// into writes the result.
func (a *audit) into(l *Ledger) {
	l.Open = a.open
	share, hops := 0.0, 0
	for _, hop := range AllHops() {
		acc := Account{Hop: hop}
		for _, it := range a.items {
			if it.hop != hop {
				continue
			}
			acc.Expected += it.n
			if !it.bad {
				acc.Found += it.n
			}
		}
		acc.Unknown = a.unknownOf(hop)
		l.Accounts = append(l.Accounts, acc)
		if acc.Expected > 0 {
			share += float64(acc.Found) / float64(acc.Expected)
			hops++
		}
	}
	l.Score = 100
	if hops > 0 {
		l.Score = math.Floor(share/float64(hops)*1000+1e-9) / 10
	}
	for _, n := range a.notes {
		n.Text = n.say(n)
		if n.first >= 0 {
			n.TraceID, n.SpanID = a.fold.spans[n.first].TraceID, a.fold.spans[n.first].SpanID
		}
		l.Findings = append(l.Findings, n.Finding)
	}
	slices.SortFunc(l.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(AllHops(), x.Hop), slices.Index(AllHops(), y.Hop)), cmp.Compare(x.Agent, y.Agent),
			cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Peer, y.Peer))
	})
}

// unknownOf returns the agents that took part and report nothing of a hop.
func (a *audit) unknownOf(hop Hop) []string {
	reports := map[string]bool{}
	for i := range a.fold.spans {
		if at := a.spanItem[i]; at >= 0 && a.items[at].hop == hop {
			reports[a.agent(i)] = true
		}
	}
	if hop == HopLog {
		for i := range a.lines {
			reports[a.lineAgent(&a.lines[i])] = true
		}
	}
	out := map[string]bool{}
	for name := range a.agents() {
		known := reports[name] || hop == HopMessage && (a.habits.takes[name] || a.habits.hears[name] || a.habits.sends[name])
		if !known || hop == HopMessage && a.mute[name] {
			out[name] = true
		}
	}
	return sortedKeys(out)
}

// agents are all that took part, as far as anything names them.
func (a *audit) agents() map[string]bool {
	out := map[string]bool{}
	for i := range a.fold.spans {
		out[a.agent(i)] = true
	}
	for _, m := range a.messages {
		out[m.from], out[m.to] = true, true
	}
	delete(out, "")
	return out
}

// agent returns whose work a span is. Who sends a message is named in it.
func (a *audit) agent(i int) string {
	s := &a.fold.spans[i]
	if s.Kind == "producer" && s.Message != nil && s.Message.From != "" {
		return s.Message.From
	}
	if s.Kind == "consumer" && s.Message != nil && s.Message.To != "" {
		return s.Message.To
	}
	return a.t.agent[i]
}

// add adds an item and returns its index.
func (a *audit) add(hop Hop) int {
	a.items = append(a.items, item{hop: hop, n: 1})
	return len(a.items) - 1
}

// maxNamed bounds the names that a finding remembers; a sentence shows fewer.
const maxNamed = 10

// note notes a finding seen at a span (-1 for none), or counts it to one that is alike.
func (a *audit) note(key findingKey, at int, what string, say func(*noted) string) {
	n, ok := a.notes[key]
	if !ok {
		n = &noted{Finding: Finding{Kind: key.kind, Hop: key.hop, Agent: key.agent, Peer: key.peer}, first: at, say: say}
		a.notes[key] = n
	}
	n.Count++
	if n.first < 0 || at >= 0 && at < n.first {
		n.first = at
	}
	if what != "" && len(n.what) < maxNamed && !slices.Contains(n.what, what) {
		n.what = append(n.what, what)
	}
}

// someone is an agent's name in a sentence.
func someone(agent string) string { return cmp.Or(agent, "somebody") }

// things is a count with its noun: 1 record, 3 records.
func things(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return itoa(n) + " " + noun + "s"
}

// some names up to three of a list in brackets, "" for none.
func some(names []string) string {
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	if len(names) > 3 {
		names = append(slices.Clone(names[:3]), "…")
	}
	return " (" + strings.Join(names, ", ") + ")"
}
