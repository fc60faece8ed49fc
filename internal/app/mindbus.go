package app

import (
	"io"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/receive/mindbus"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// makeTap makes the bus tap, when a bus is named. It has to be there before the store, whose rows it watches.
func (a *App) makeTap() error {
	c := a.cfg.MindBus
	if c.URL == "" {
		return nil
	}
	tap, err := mindbus.New(mindbus.Config{
		URL: c.URL, Exchange: c.Exchange, Queue: c.Queue, AnswerWithin: c.AnswerWithin,
	}, a.log.With("component", "mindbus"))
	if err != nil {
		return err
	}
	a.tap = tap
	return nil
}

// startTap lets the tap read, when there is one.
func (a *App) startTap(sink signal.Sink) {
	if a.tap == nil {
		return
	}
	a.tap.Start(sink)
	a.running("bus tap", a.tap.Stop)
	a.observeTap(a.tap)
}

func (a *App) observeTap(t *mindbus.Tap) {
	m := a.metrics
	figure := func(f func(mindbus.Stats) int64) func() float64 {
		return func() float64 { return float64(f(t.Stats())) }
	}
	m.Counters("mindscope_bus_messages_total", "Messages on the bus by what they were; those that can't be read by why.",
		"what", func() map[string]int64 { return t.Stats().Messages })
	m.Counters("mindscope_bus_answers_total", "Answers that went wrong: missing, late, duplicate, unmatched.",
		"problem", func() map[string]int64 { return t.Stats().Answers })
	m.Counter("mindscope_bus_yielded_total", "Spans of the bus tap left to agents that told of them themselves.",
		figure(func(s mindbus.Stats) int64 { return s.Yielded }))
	m.Counter("mindscope_bus_skewed_total", "Messages whose sender's clock is minutes off.",
		figure(func(s mindbus.Stats) int64 { return s.Skewed }))
	m.Counter("mindscope_bus_dropped_total", "Spans and records of the bus tap lost for want of room or refused by the store.",
		figure(func(s mindbus.Stats) int64 { return s.Dropped }))
	m.Counter("mindscope_bus_queue_dropped_total", "Messages that the broker took out of the tap's full queue, or that waited too long in it.",
		figure(func(s mindbus.Stats) int64 { return s.BrokerDropped }))
	m.Counter("mindscope_bus_connects_total", "Connections that the bus tap made.",
		figure(func(s mindbus.Stats) int64 { return s.Connects }))
	m.Gauge("mindscope_bus_connected", "1 while the bus is read.", figure(func(s mindbus.Stats) int64 {
		if s.Connected {
			return 1
		}
		return 0
	}))
	m.Gauge("mindscope_bus_held_spans", "Spans that wait for whether their agent tells of them itself.",
		figure(func(s mindbus.Stats) int64 { return s.Held }))
	m.Gauge("mindscope_bus_pending_commands", "Commands that wait for their answer.",
		figure(func(s mindbus.Stats) int64 { return s.Pending }))
}

// oldMessageID is what instrumentations of older conventions call messaging.message.id, amqplib's for Node among them.
const oldMessageID = "messaging.message_id"

// yields tells the tap of committed spans of messages that it did not make itself. It keeps no state.
type yields struct{ tap *mindbus.Tap }

// Committed implements store.Observer.
func (y yields) Committed(_ signal.Project, rows []store.Row) {
	for i := range rows {
		r := &rows[i]
		if r.Kind != store.KindSpan {
			continue
		}
		kind := r.Text(store.FieldSpanKind)
		if kind != "producer" && kind != "consumer" || r.Text(store.FieldScopeName) == mindbus.ScopeName() {
			continue
		}
		id := r.Text(store.PrefixAttr + conv.MessagingMessageID)
		if id == "" {
			id = r.Text(store.PrefixAttr + oldMessageID)
		}
		if id != "" {
			y.tap.Yield(id, kind == "consumer")
		}
	}
}

// Save implements store.StatefulObserver.
func (yields) Save(io.Writer) error { return nil }

// Load implements store.StatefulObserver.
func (yields) Load([]byte) error { return nil }
