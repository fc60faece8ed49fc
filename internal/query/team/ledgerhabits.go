package team

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// habits is which agents are known to report what. What an agent never reports is not missed.
type habits struct {
	sends          map[string]bool // messages of any type
	takes          map[string]bool // messages that are no answers
	answers, hears map[string]bool // answers that it gives, that it gets
}

// clone returns habits to learn on.
func (h habits) clone() habits {
	c := habits{sends: map[string]bool{}, takes: map[string]bool{}, answers: map[string]bool{}, hears: map[string]bool{}}
	maps.Copy(c.sends, h.sends)
	maps.Copy(c.takes, h.takes)
	maps.Copy(c.answers, h.answers)
	maps.Copy(c.hears, h.hears)
	return c
}

// see takes one message that an agent reports.
func (h *habits) see(kind, agent, messageType string) {
	answer := messageType == typeResult || messageType == typeError
	switch kind {
	case "producer":
		h.sends[agent] = true
		h.answers[agent] = h.answers[agent] || answer
	case "consumer":
		h.takes[agent] = h.takes[agent] || !answer
		h.hears[agent] = h.hears[agent] || answer
	}
}

// learn takes what the task itself shows.
func (h *habits) learn(a *audit) {
	*h = h.clone()
	for i := range a.fold.spans {
		s := &a.fold.spans[i]
		messageType := ""
		if s.Message != nil {
			messageType = s.Message.Type
		}
		if name := a.agent(i); name != "" {
			h.see(s.Kind, name, messageType)
		}
	}
}

// habitReach is how long before a task its agents' habits are learned from.
const habitReach = 7 * 24 * time.Hour

// history learns from what a team's agents reported before. It is asked only where a task itself doesn't tell.
func (b *book) history(ctx context.Context, agents []string, until int64) (habits, error) {
	h := habits{}.clone()
	to, from := attr(conv.AITeamMessageToAgent), attr(conv.AITeamMessageFromAgent)
	groups, err := b.q.events.Aggregate(ctx, b.p, store.Aggregate{
		Scope: store.Scope{
			Kind: store.KindSpan, Time: signal.TimeRange{Start: until - int64(habitReach), End: until},
			Filter: store.And{
				store.Eq(store.FieldTeam, b.team),
				store.In{Field: store.FieldSpanKind, Values: []string{"producer", "consumer"}},
				store.Or{store.In{Field: to, Values: agents}, store.In{Field: from, Values: agents}},
			},
		},
		By:      []string{store.FieldSpanKind, from, to, attr(conv.AITeamMessageType)},
		Columns: []store.Column{{Func: store.CountRows}},
	})
	if errors.Is(err, store.ErrTooMany) { // so many names that nothing is known of any
		return h, nil
	}
	if errors.Is(err, store.ErrPartial) {
		b.partial = true
	} else if err != nil {
		return h, fmt.Errorf("learn the agents' habits: %w", err)
	}
	for _, g := range groups {
		agent := g.Key[1]
		if g.Key[0] == "consumer" {
			agent = g.Key[2]
		}
		if agent != "" {
			h.see(g.Key[0], agent, g.Key[3])
		}
	}
	return h, nil
}
