package eventdb

import (
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

func TestBodyCache(t *testing.T) {
	c := newBodyCache()
	var tenant logstorage.TenantID
	since := int64(0)
	name := func(n string) stored { return stored{day: 1, hash: strings.Repeat("0", hashLen-len(n)) + n} }
	ask := func(n string) (body string, epoch int) {
		t.Helper()
		out := map[stored]string{}
		_, epoch = c.take(tenant, since, map[stored]ref{name(n): {}}, out)
		return out[name(n)], epoch
	}
	put := func(n, body string, epoch int) {
		c.add(tenant, map[stored]string{name(n): body}, map[stored]ref{name(n): {}}, epoch)
	}
	_, epoch := ask("1")
	put("1", "one", epoch)
	put("2", strings.Repeat("x", maxCachedBody+1), epoch)
	if body, _ := ask("1"); body != "one" {
		t.Errorf("got %q", body)
	}
	if body, _ := ask("2"); body != "" {
		t.Error("a long text was kept")
	}
	// What is used stays, whatever else comes; the cache is bounded.
	for i := range 500 {
		put(strings.Repeat("a", 1+i%30)+string(rune('0'+i%10)), strings.Repeat("y", maxCachedBody), epoch)
		if body, _ := ask("1"); body != "one" {
			t.Fatalf("forgotten after %d others", i)
		}
	}
	if n := (len(c.young) + len(c.old)) * maxCachedBody; n > 3*bodyCacheBytes {
		t.Errorf("%d bytes are kept", n)
	}
	// One whose day ended before the retention began is read from the store, which knows.
	for at, want := range map[int64]string{int64(day): "one", int64(day) + 1: ""} {
		since = at
		if body, _ := ask("1"); body != want {
			t.Errorf("payloads since %d: got %q, want %q", at, body, want)
		}
	}
	since = 0
	// A payload that was read before a removal is not kept after it.
	_, epoch = ask("1")
	c.forget()
	put("1", "one", epoch)
	if body, _ := ask("1"); body != "" {
		t.Errorf("%q came back", body)
	}
}
