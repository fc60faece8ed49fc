package policy

import (
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/signal"
)

// TestForget: the failure of a task brings back what is held of it, but not what was deleted meanwhile.
func TestForget(t *testing.T) {
	f := setup(t, Config{Default: FailedOnly})
	trace := "01" + strings.Repeat("0", 30)
	f.send(chat("gone", 2, nil), chat("left", 3, nil))
	gone := []Span{{trace, "0200000000000000"}, {trace, "no id"}, {"", ""}}
	f.sink.Forget("another project", gone)
	f.stats(Stats{Held: 2})
	f.sink.Forget(signal.DefaultProject, gone)
	f.stats(Stats{Held: 1, Deleted: 1})
	f.send(root(1, true))
	f.stats(Stats{Released: 1, Deleted: 1})
	if _, ok := f.last.content["0200000000000000"]; ok || len(f.last.content) != 1 {
		t.Errorf("stored: %v", f.last.content)
	}
}
