package eventdb

import (
	"testing"
	"time"
)

func TestApart(t *testing.T) {
	f := func(rows, payloads []string, want bool) {
		t.Helper()
		if got := apart(rows, payloads); got != want {
			t.Errorf("rows on %q, payloads on %q: apart is %t", rows, payloads, got)
		}
	}
	f([]string{"a:1", "b:1"}, nil, false)
	f([]string{"a:1", "b:1"}, []string{"c:1"}, true)
	f([]string{"a:1", "b:1"}, []string{"c:1", "b:1"}, false)
	f([]string{"https://a:1"}, []string{"a:1"}, false)
}

// TestLateAcknowledgement: what waited for a node when a checkpoint began is not on the node's disk because the node takes it now.
func TestLateAcknowledgement(t *testing.T) {
	nd := &node{}
	waited := &block{made: time.Now()}
	start := waited.made.Add(time.Nanosecond)
	nd.queue = []*block{waited}
	if !nd.keepsFrom(start) {
		t.Error("a block that waits is counted as on disk")
	}
	nd.queue = nil
	nd.keep(waited)
	if !nd.keepsFrom(start) {
		t.Error("a block that was just acknowledged is counted as on disk")
	}
	nd.letGo(waited.at.Add(time.Nanosecond))
	if nd.keepsFrom(start) {
		t.Error("a block that is on disk is waited for")
	}
	nd.keep(&block{made: start})
	if nd.keepsFrom(start) {
		t.Error("a later block is waited for")
	}
}
