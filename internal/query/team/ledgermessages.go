package team

import (
	"slices"
	"strings"
)

// Types of messages.
const (
	typeCommand = "COMMAND"
	typeResult  = "RESULT"
	typeError   = "ERROR"
	typeEvent   = "EVENT"
	typeControl = "CONTROL"
)

// message is one message on the bus, from both of its sides.
type message struct {
	id, kind, from, to, conversation string
	sends, processes                 []int
	answers                          []*message // of a command
	answerTo                         *message
	item                             int
	// implied: no span says that it was taken, but work of the receiver does.
	implied bool
	// lost: the receiver began work on it that never ended, which is a finding of its own.
	lost bool
}

func (m *message) isAnswer() bool { return m.kind == typeResult || m.kind == typeError }

// consumed tells whether somebody took it.
func (m *message) consumed() bool { return len(m.processes) > 0 || m.implied }

// name is the message in a sentence.
func (m *message) name() string {
	if m.kind == "" {
		return "message"
	}
	return m.kind
}

// read takes what a span says of the message.
func (m *message) read(s *Span) {
	if s.Message == nil {
		return
	}
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&m.kind, strings.ToUpper(s.Message.Type)},
		{&m.from, s.Message.From},
		{&m.to, s.Message.To},
		{&m.id, s.MessageID},
		{&m.conversation, s.CorrelationID},
	} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
}

// matchMessages finds the messages: a receiver's span belongs to the sender's that is its parent, else to one it links
// to, else to the message of the same id.
func (a *audit) matchMessages() {
	byID := map[string]*message{}
	for i := range a.fold.spans {
		if s := &a.fold.spans[i]; s.Kind == "producer" {
			m := byID[s.MessageID]
			if s.MessageID == "" || m == nil {
				m = a.newMessage(byID, s)
			}
			m.sends = append(m.sends, i)
			m.read(s)
			a.ofSpan[i] = m
		}
	}
	for i := range a.fold.spans {
		s := &a.fold.spans[i]
		if s.Kind != "consumer" {
			continue
		}
		taken := a.sentBefore(i)
		if m := byID[s.MessageID]; len(taken) == 0 && m != nil && s.MessageID != "" {
			taken = []*message{m}
		}
		if len(taken) == 0 {
			taken = []*message{a.newMessage(byID, s)}
		}
		a.ofSpan[i] = taken[0]
		for _, m := range taken {
			m.processes = append(m.processes, i)
			m.read(s)
		}
	}
	a.matchAnswers(byID)
}

func (a *audit) newMessage(byID map[string]*message, s *Span) *message {
	m := &message{item: -1}
	a.messages = append(a.messages, m)
	if s.MessageID != "" {
		byID[s.MessageID] = m
	}
	return m
}

// sentBefore returns the messages that a receiver's span names by parent, else by links: several for a batch.
func (a *audit) sentBefore(i int) []*message {
	if p := a.t.parent[i]; p >= 0 && a.fold.spans[p].Kind == "producer" {
		return []*message{a.ofSpan[p]}
	}
	var out []*message
	for _, link := range a.fold.spans[i].Links {
		j, ok := a.fold.index[link]
		if ok && a.fold.spans[j].Kind == "producer" && !slices.Contains(out, a.ofSpan[j]) {
			out = append(out, a.ofSpan[j])
		}
	}
	return out
}

// matchAnswers finds the command that an answer is for: by the correlation id, else by where it was sent from.
func (a *audit) matchAnswers(byID map[string]*message) {
	for _, m := range a.messages {
		if !m.isAnswer() {
			continue
		}
		command := byID[m.conversation]
		if m.conversation == "" && len(m.sends) > 0 {
			command = a.above(m.sends[0])
		}
		if command != nil && command != m && !command.isAnswer() {
			m.answerTo = command
			command.answers = append(command.answers, m)
			command.implied = true // who answers has taken it
		}
	}
	for _, j := range a.joined {
		if i, ok := a.fold.index[j.To]; ok && a.ofSpan[i] != nil {
			m := a.ofSpan[i]
			m.implied = true
			a.byMessage[m] = append(a.byMessage[m], j)
		}
	}
}

// above returns the message in whose processing a span lies, nil for none.
func (a *audit) above(i int) *message {
	for p := a.t.parent[i]; p >= 0; p = a.t.parent[p] {
		if a.fold.spans[p].Kind == "consumer" {
			return a.ofSpan[p]
		}
	}
	return nil
}

// checkMessages asks of each message whether it was taken, in the same trace, and answered once.
func (a *audit) checkMessages() {
	for _, m := range a.messages {
		a.items[m.item].bad = a.items[m.item].bad || !a.taken(m)
		a.continued(m)
	}
	for _, m := range a.messages {
		if m.kind == typeCommand && m.consumed() && !m.lost {
			a.answered(m)
		}
		if m.isAnswer() && m.answerTo == nil && m.conversation != "" && a.habits.sends[m.to] && len(m.sends) > 0 {
			a.items[m.item].bad = true
			a.note(findingKey{AnswersNone, HopMessage, m.from, m.to}, m.sends[0], m.name(), func(n *noted) string {
				return someone(n.Agent) + " sent " + things(n.Count, "answer") + " to " + n.Peer + " that " + agree(n.Count, "answers", "answer") + " no command of the task"
			})
		}
	}
}

// taken tells whether a message was taken, or need not be: nobody has to listen to an event, and a failed sending is no
// sending. Of a receiver that never reports what it takes nothing is known.
func (a *audit) taken(m *message) bool {
	switch {
	case m.consumed(), m.kind == typeEvent, m.kind == typeControl, a.fold.spans[m.sends[len(m.sends)-1]].Failed():
		return true
	case a.open:
		a.items[m.item].n = 0
		return true
	case m.isAnswer() && !a.habits.hears[m.to], !m.isAnswer() && !a.habits.takes[m.to]:
		a.items[m.item].n = 0
		a.mute[m.to] = true
		return true
	}
	a.note(findingKey{NotConsumed, HopMessage, m.to, m.from}, m.sends[0], m.name(), func(n *noted) string {
		if n.Count == 1 {
			return someone(n.Peer) + "'s " + n.what[0] + " to " + n.Agent + " was sent and never consumed"
		}
		return things(n.Count, "message") + " of " + someone(n.Peer) + " to " + n.Agent + " were sent and never consumed" + some(n.what)
	})
	return false
}

// continued notes receivers that took a message and went on in a trace of their own.
func (a *audit) continued(m *message) {
	if len(m.sends) == 0 {
		return
	}
	from := a.fold.spans[m.sends[0]].TraceID
	for _, i := range m.processes {
		s := &a.fold.spans[i]
		same := slices.ContainsFunc(m.sends, func(j int) bool { return a.fold.spans[j].TraceID == s.TraceID })
		if same || slices.ContainsFunc(s.Links, func(l SpanID) bool { return l.Trace == from }) {
			continue
		}
		a.beganTrace(m, i, s.TraceID, from)
	}
	for _, j := range a.byMessage[m] {
		if j.By == ByTime {
			a.beganTrace(m, a.firstOf(j.Trace), j.Trace, from)
		}
	}
	for _, answer := range m.answers { // given from a trace of its own by who doesn't report what it takes
		if len(m.processes) == 0 && len(answer.sends) > 0 && a.anew(a.fold.spans[answer.sends[0]].TraceID) {
			a.beganTrace(m, answer.sends[0], a.fold.spans[answer.sends[0]].TraceID, from)
		}
	}
}

func (a *audit) beganTrace(m *message, at int, trace, from string) {
	a.items[m.item].bad = true
	a.note(findingKey{NewTrace, HopMessage, m.to, trace}, at, m.name(), func(n *noted) string {
		return someone(n.Agent) + " took " + someone(m.from) + "'s " + n.what[0] + " and began trace " + trace + " instead of continuing " + from
	})
}

// firstOf returns the earliest span of a trace, -1 for none.
func (a *audit) firstOf(trace string) int {
	return slices.IndexFunc(a.fold.spans, func(s Span) bool { return s.TraceID == trace })
}

// answered asks whether a command that was taken has one answer. An answer that is expected and not there is an item.
func (a *audit) answered(m *message) {
	at := -1
	if len(m.processes) > 0 {
		at = m.processes[0]
	}
	switch {
	case len(m.answers) == 0 && a.open:
	case len(m.answers) == 0 && !a.habits.answers[m.to] && !a.habits.hears[m.from]:
		a.mute[m.to] = true
	case len(m.answers) == 0:
		a.items[a.add(HopMessage)].bad = true
		a.note(findingKey{NotAnswered, HopMessage, m.to, m.from}, at, m.name(), func(n *noted) string {
			return someone(n.Agent) + " consumed " + a.several(n, n.Peer) + " and never answered"
		})
	case len(m.answers) > 1:
		for _, extra := range m.answers[1:] {
			a.items[extra.item].bad = true
		}
		times := len(m.answers)
		a.note(findingKey{AnsweredTwice, HopMessage, m.to, m.from}, at, m.name(), func(n *noted) string {
			if n.Count > 1 {
				return someone(n.Agent) + " answered " + a.several(n, n.Peer) + " more than once"
			}
			return someone(n.Agent) + " answered " + a.several(n, n.Peer) + " " + howOften(times)
		})
	}
}

// several names the commands of a finding: orchestrator's COMMAND, 3 COMMANDs of orchestrator.
func (a *audit) several(n *noted, from string) string {
	if n.Count == 1 {
		return someone(from) + "'s " + n.what[0]
	}
	return things(n.Count, n.what[0]) + " of " + someone(from)
}

func howOften(n int) string {
	if n == 2 {
		return "twice"
	}
	return itoa(n) + " times"
}

// agree chooses the verb for one and for several.
func agree(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}
