package team

import (
	"strconv"
	"time"
)

const (
	// clockSlack is how far the clocks of two machines may be apart without a word.
	clockSlack = time.Minute
	// lateSlack is how long after its parent's end work may begin: who doesn't wait for it may be slow.
	lateSlack = 10 * time.Minute
)

// off is a pair of spans, one begun by the other, whose times can't both be right.
type off struct {
	other, agent string
	by           time.Duration // of the agent's clock against the other's
}

// checkClocks looks for agents whose clock is far from the others': work that began long before it was ordered, or long
// after its answer had arrived. The first agent below is the one whose clock is off; what others see of it follows.
func (a *audit) checkClocks() {
	culprits := map[string]bool{}
	for _, i := range a.t.order {
		o, found := a.offset(i)
		if !found || culprits[o.agent] || culprits[o.other] && o.other != "" {
			continue
		}
		culprits[o.agent] = true
		hop := HopSpan
		if a.spanItem[i] >= 0 {
			hop = a.items[a.spanItem[i]].hop
		}
		a.spoil(i)
		a.note(findingKey{ClockOff, hop, o.agent, o.other}, i, "", func(n *noted) string {
			direction, by := "ahead of", o.by
			if by < 0 {
				direction, by = "behind", -by
			}
			return "the clock of " + someone(n.Agent) + " is " + roughly(by) + " " + direction + " " + someone(n.Peer) + "'s"
		})
	}
	for _, m := range a.messages { // both sides of a message tell its time in the queue
		if culprits[m.from] != culprits[m.to] && len(m.sends) > 0 && len(m.processes) > 0 {
			a.items[m.item].bad = true
		}
	}
}

// offset compares a span with the one that it was begun by.
func (a *audit) offset(i int) (off, bool) {
	p := a.t.parent[i]
	if p < 0 {
		return off{}, false
	}
	s, parent := &a.fold.spans[i], &a.fold.spans[p]
	o := off{agent: a.agent(i), other: a.agent(p)}
	early := time.Duration(s.Start - parent.Start)
	switch {
	case early < -clockSlack:
		o.by = early
		return o, true
	case s.Kind == "consumer" && parent.Kind == "producer":
		o.by = a.lateFor(i)
		return o, o.by != 0
	case !parent.Running && time.Duration(s.Start-max(parent.End(), parent.Start)) > lateSlack:
		o.by = time.Duration(s.Start - parent.Start)
		return o, true
	}
	return off{}, false
}

// lateFor returns how far ahead the clock of a message's receiver is, 0 when it isn't for sure: a message may wait for
// long, but it is not taken after its answer has arrived.
func (a *audit) lateFor(i int) time.Duration {
	m := a.ofSpan[i]
	for _, answer := range m.answers {
		for _, j := range answer.processes {
			back := &a.fold.spans[j]
			if a.agent(j) == m.from && time.Duration(a.fold.spans[i].Start-back.Start) > clockSlack {
				return time.Duration(a.fold.spans[i].Start - a.fold.spans[m.sends[0]].Start)
			}
		}
	}
	return 0
}

// roughly is a time to the minute: 1 h, 1 h 5 min, 12 min.
func roughly(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	switch h, m := minutes/60, minutes%60; {
	case h == 0:
		return itoa(m) + " min"
	case m == 0:
		return itoa(h) + " h"
	default:
		return itoa(h) + " h " + itoa(m) + " min"
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
