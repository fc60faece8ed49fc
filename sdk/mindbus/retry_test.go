package mindbus_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

func requestFrom(tm *team, to string) error {
	m := command(tm.T, to, 1)
	m.From = "orchestrator"
	_, err := tm.bus.Request(tm.ctx, m)
	return err
}

// TestRetry: a retryable failure is tried again after a delay, and only the last one is answered.
func TestRetry(t *testing.T) {
	tm := newTeam(t)
	var calls atomic.Int64
	var started [4]time.Time
	tm.handle("writer", func(context.Context, mindbus.Message) (any, error) {
		n := calls.Add(1)
		started[n] = time.Now()
		if n < 3 {
			return nil, mindbus.NewError(mindbus.CodeUnavailable, true, errors.New("the model is busy"))
		}
		return "done", nil
	}, mindbus.WithRetry(3, 20*time.Millisecond))
	if err := requestFrom(tm, "writer"); err != nil {
		t.Errorf("the third attempt succeeds: %v", err)
	}
	if first, second := started[2].Sub(started[1]), started[3].Sub(started[2]); first < 20*time.Millisecond || second < 40*time.Millisecond {
		t.Errorf("tried again after %s and %s, want 20 ms and 40 ms", first, second)
	}
	tm.closeAll()
	attempts := map[any]int{}
	sends := 0
	for _, s := range tm.spans.Ended() {
		a := attrs(s)
		switch s.Name() {
		case "process agent.writer":
			attempts[a["ai_team.message.attempt"]]++
			if key := a["messaging.rabbitmq.destination.routing_key"]; key != "cmd.writer.writer" {
				t.Errorf("an attempt has the key %v", key)
			}
			if parent := tm.span("send cmd.writer").SpanContext().SpanID(); s.Parent().SpanID() != parent {
				t.Error("an attempt is not below the span that sent the message")
			}
		case "send res.orchestrator":
			sends++
		}
	}
	if attempts[nil] != 1 || attempts[int64(2)] != 1 || attempts[int64(3)] != 1 || sends != 1 {
		t.Errorf("attempts %v, %d answers; want one each of 1, 2, 3, and one answer", attempts, sends)
	}
	if st := tm.bus.Stats(); st.Retried != 2 || st.Processed != 1 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRetryEnds: failures that are not retryable, and the last of those that are, are answered.
func TestRetryEnds(t *testing.T) {
	f := func(retryable bool, want int64) {
		t.Helper()
		tm := newTeam(t)
		var calls atomic.Int64
		tm.handle("writer", func(context.Context, mindbus.Message) (any, error) {
			calls.Add(1)
			return nil, mindbus.NewError(mindbus.CodeUnavailable, retryable, errors.New("no"))
		}, mindbus.WithRetry(2, time.Millisecond))
		var failure *mindbus.Error
		if err := requestFrom(tm, "writer"); !errors.As(err, &failure) || failure.Code != mindbus.CodeUnavailable {
			t.Errorf("answer: %v", err)
		}
		if calls.Load() != want {
			t.Errorf("%d calls, want %d", calls.Load(), want)
		}
	}
	f(true, 2)
	f(false, 1)
}

// TestPoison: a message that comes back again and again, since whoever has it dies, is given up, answered and kept among the
// dead letters.
func TestPoison(t *testing.T) {
	tm := newTeam(t)
	ctx := tm.ctx
	done := make(chan error, 1)
	declared := make(chan struct{})
	var once sync.Once
	die := func() {
		started := make(chan struct{})
		ctx, kill := context.WithCancel(ctx)
		err := tm.bus.Handle(ctx, "writer", func(ctx context.Context, _ mindbus.Message) (any, error) {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		once.Do(func() { close(declared) })
		<-started
		kill()
	}
	go func() {
		<-declared
		done <- requestFrom(tm, "writer")
	}()
	for i := range uint64(6) { // MaxRedeliveries is 5
		die()
		poll(t, "the message is back", func() bool { return tm.bus.Stats().Requeued == i+1 && tm.tr.Len("agent.writer") == 1 })
	}
	tm.handle("writer", func(context.Context, mindbus.Message) (any, error) {
		t.Error("the poisonous message is handled once more")
		return nil, nil
	})
	var failure *mindbus.Error
	if err := <-done; !errors.As(err, &failure) || failure.Code != mindbus.CodeAborted {
		t.Errorf("answer: %v, want ABORTED", err)
	}
	poll(t, "the dead letter", func() bool { return tm.tr.Len(mindbus.DefaultDeadLetter) == 1 })
	tm.closeAll()
	most := int64(0)
	for _, s := range tm.spans.Ended() {
		if n, ok := attrs(s)["ai_team.message.redeliveries"].(int64); ok {
			most = max(most, n)
		}
	}
	if st := tm.bus.Stats(); most != 6 || st.Poisonous != 1 {
		t.Errorf("%d redeliveries shown, %+v; want 6 and one poisonous", most, st)
	}
}
