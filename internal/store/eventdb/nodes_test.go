package eventdb

import "testing"

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
