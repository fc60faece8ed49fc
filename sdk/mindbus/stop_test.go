package mindbus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// TestStoppedAgentGivesBack: what is cut off by the end of the agent is done by the next one, marked as redelivered.
func TestStoppedAgentGivesBack(t *testing.T) {
	tm := newTeam(t)
	ctx, stop := context.WithCancel(tm.ctx)
	started := make(chan struct{})
	err := tm.bus.Handle(ctx, "writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	m := command(t, "writer", 1)
	m.From = "orchestrator"
	go func() {
		_, err := tm.bus.Request(tm.ctx, m)
		answer <- err
	}()
	<-started
	stop()
	poll(t, "the message is back", func() bool { return tm.bus.Stats().Requeued == 1 && tm.tr.Len("agent.writer") == 1 })
	tm.handle("writer", echo)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	tm.closeAll()
	redelivered := 0
	for _, s := range tm.spans.Ended() {
		if attrs(s)["ai_team.message.redelivered"] == true {
			redelivered++
		}
	}
	if redelivered != 1 {
		t.Errorf("%d spans say redelivered, want 1", redelivered)
	}
}

func TestCloseWaitsAndThenCancels(t *testing.T) {
	tm := newTeam(t)
	started, ended := make(chan struct{}), make(chan error, 1)
	tm.handle("writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	m := mindbus.Message{Type: mindbus.Command, From: "orchestrator", To: "writer"}
	if err := tm.bus.Publish(tm.ctx, m); err != nil {
		t.Fatal(err)
	}
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tm.bus.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; !errors.Is(err, mindbus.ErrBusClosed) {
		t.Errorf("the handler's cause is %v", err)
	}
	if got := tm.tr.Len("agent.writer"); got != 1 {
		t.Errorf("%d messages are back in the queue, want 1", got)
	}
	for _, err := range []error{
		tm.bus.Publish(tm.ctx, m),
		tm.bus.Handle(tm.ctx, "writer", echo),
		func() error { _, err := tm.bus.Request(tm.ctx, mindbus.Message{From: "a", To: "writer"}); return err }(),
	} {
		if !errors.Is(err, mindbus.ErrBusClosed) {
			t.Errorf("after close: %v", err)
		}
	}
}

// TestManyAgents: agents that ask each other concurrently get each their own answers.
func TestManyAgents(t *testing.T) {
	tm := newTeam(t)
	tm.handle("adder", func(_ context.Context, m mindbus.Message) (any, error) {
		var n int
		err := m.Decode(&n)
		return n + 1, err
	}, mindbus.WithConcurrency(4))
	tm.handle("relay", func(ctx context.Context, m mindbus.Message) (any, error) {
		next := mindbus.Message{From: "relay", To: "adder", Payload: m.Payload}
		r, err := tm.bus.Request(ctx, next)
		return r.Payload, err
	}, mindbus.WithConcurrency(4))
	errs := make(chan error)
	const n = 50
	for i := range n {
		go func() {
			m, err := mindbus.NewMessage(mindbus.Command, "boss", "relay", i)
			if err == nil {
				m, err = tm.bus.Request(tm.ctx, m)
			}
			if want := fmt.Sprint(i + 1); err == nil && string(m.Payload) != want {
				err = fmt.Errorf("got %s, want %s", m.Payload, want)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestPatterns(t *testing.T) {
	tm := newTeam(t)
	got := make(chan mindbus.Message, 2)
	tm.handle("archivist", func(_ context.Context, m mindbus.Message) (any, error) {
		got <- m
		return "ignored", nil
	}, mindbus.WithPatterns("evt.article.*", "ctl.archivist.#"))
	for _, m := range []mindbus.Message{
		{Type: mindbus.Event, From: "editor", To: "article.published"},
		{Type: mindbus.Event, From: "editor", To: "image.published"},
		{Type: mindbus.Control, From: "boss", To: "archivist.pause"},
	} {
		if err := tm.bus.Publish(tm.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"article.published", "archivist.pause"} {
		if m := <-got; m.To != want {
			t.Errorf("got a message to %q, want %q", m.To, want)
		}
	}
	tm.closeAll()
	if s := tm.bus.Stats(); s.Sent != 3 || s.Processed != 2 {
		t.Errorf("counters are %+v; events and control messages are not answered", s)
	}
}
