package mindbus

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Names that a Config has by default.
const (
	// DefaultExchange is the topic exchange of the team's messages.
	DefaultExchange = "mindbus.main"
	// DefaultDeadLetter is the queue of messages that cannot be read.
	DefaultDeadLetter = "mindbus.dead"
)

// Config says how a Bus names and orders things. The zero value is the default of every field.
type Config struct {
	// Exchange is the topic exchange that all messages go through; default DefaultExchange.
	Exchange string
	// DeadLetter is the queue of messages that cannot be read; default DefaultDeadLetter.
	DeadLetter string
	// Priorities order messages that wait in a queue.
	Priorities Priorities
	// MaxLength bounds the agents' queues, in messages; 0 takes the transport's default.
	MaxLength int
	// MaxRedeliveries is how often a message may be handed out and come back before it is given up; default 5.
	MaxRedeliveries int
	// Role returns an agent's role, a word of few values that routing keys and span names are made of. By default it
	// is the agent's name without the number of an instance: `writer` for `writer-2`.
	Role func(agent string) string
}

// Priorities are the priorities of the types of messages; higher goes first.
type Priorities struct {
	Event, Command, Result, Error, Control uint8
	// Max is the highest a queue tells apart (x-max-priority). It has to be the same for all who declare a queue.
	Max uint8
}

// DefaultPriorities returns event 1, command, result and error 5, control 9, of 10.
func DefaultPriorities() Priorities {
	return Priorities{Event: 1, Command: 5, Result: 5, Error: 5, Control: 9, Max: 10}
}

func (c Config) withDefaults() (Config, error) {
	c.Exchange = cmp.Or(c.Exchange, DefaultExchange)
	c.DeadLetter = cmp.Or(c.DeadLetter, DefaultDeadLetter)
	if c.Priorities == (Priorities{}) {
		c.Priorities = DefaultPriorities()
	}
	if c.Role == nil {
		c.Role = roleOf
	}
	c.MaxRedeliveries = cmp.Or(c.MaxRedeliveries, 5)
	p := c.Priorities
	var errs []error
	if highest := max(p.Event, p.Command, p.Result, p.Error, p.Control); highest > p.Max {
		errs = append(errs, fmt.Errorf("priorities: %d is higher than max, %d", highest, p.Max))
	}
	if c.MaxLength < 0 {
		errs = append(errs, fmt.Errorf("max length: %d is negative", c.MaxLength))
	}
	if c.MaxRedeliveries < 0 {
		errs = append(errs, fmt.Errorf("max redeliveries: %d is negative", c.MaxRedeliveries))
	}
	return c, errors.Join(errs...)
}

func (p Priorities) of(t Type) uint8 {
	switch t {
	case Event:
		return p.Event
	case Result:
		return p.Result
	case ErrorResult:
		return p.Error
	case Control:
		return p.Control
	default:
		return p.Command
	}
}

// roleOf drops the number of an instance: `writer-2` and `writer_2` are writers.
func roleOf(agent string) string {
	base := strings.TrimRight(agent, "0123456789")
	if len(base) == len(agent) || len(base) < 2 {
		return agent
	}
	if last := base[len(base)-1]; last != '-' && last != '_' && last != '/' && last != '.' {
		return agent
	}
	return base[:len(base)-1]
}

// route is where a message goes: the key, and the name without instances for span names.
type route struct {
	key, template string
}

// routeOf returns the key of a message.
func (c Config) routeOf(m Message) (route, error) {
	switch m.Type {
	case Command:
		role := keyWord(c.Role(m.To))
		return route{"cmd." + role + "." + keyWord(m.To), "cmd." + role}, nil
	case Result, ErrorResult:
		return route{"res." + keyWord(m.To) + "." + keyWord(m.From), "res." + keyWord(c.Role(m.To))}, nil
	}
	target, scope, ok := strings.Cut(m.To, ".")
	switch {
	case m.Type == Event && !ok:
		return route{}, invalid("to_agent of an EVENT is `topic.event`, not %q", m.To)
	case m.Type == Event:
		key := "evt." + keyWord(target) + "." + keyWord(scope)
		return route{key, key}, nil
	}
	scope = cmp.Or(scope, "all")
	return route{
		"ctl." + keyWord(target) + "." + keyWord(scope),
		"ctl." + keyWord(c.Role(target)) + "." + keyWord(scope),
	}, nil
}

// commandKey is the key under which an agent gets its commands.
func (c Config) commandKey(agent string) string {
	return "cmd." + keyWord(c.Role(agent)) + "." + keyWord(agent)
}
