package eventdb

import (
	"context"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// TestLogFiguresDoNotWait asks for the figures while a checkpoint waits for a storage node that is away, which takes it a
// minute.
func TestLogFiguresDoNotWait(t *testing.T) {
	db := openWith(t, t.TempDir(), Config{Nodes: []string{"127.0.0.1:1"}}) // nobody is there
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("t", "1", time.Now().UnixNano())}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Checkpoint(ctx) }()
	for db.checkpointing.TryLock() { // until the checkpoint has it
		db.checkpointing.Unlock()
		time.Sleep(time.Millisecond)
	}
	figures := make(chan LogStats, 1)
	go func() { figures <- db.Log() }()
	select {
	case l := <-figures:
		if l.Lag != 1 || l.Records != 1 {
			t.Errorf("figures %+v, want one record that no node has", l)
		}
	case <-time.After(10 * time.Second):
		t.Error("the figures wait for the checkpoint")
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the checkpoint succeeded without a node")
	}
}
