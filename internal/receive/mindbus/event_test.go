package mindbus

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseTraceParent(t *testing.T) {
	f := func(s string, want bool) {
		t.Helper()
		if got := parseTraceParent(s); got.ok != want {
			t.Errorf("%q is valid: %v, want %v", s, got.ok, want)
		}
	}
	f("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true)
	f(" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00 ", true)
	f("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later", true)
	f("", false)
	f("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false)
	f("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false)
	f("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x", false)
	f("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false)
	f("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false)
	f("00-00000000000000000000000000000000-b7ad6b7169203331-01", false)
	f("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false)
	f("00-0af7651916cd43dd8448eb211c80319c-zzad6b7169203331-01", false)
}

// TestDecodeReasons: what can't be read has one of few reasons, and what the broker knows is kept.
func TestDecodeReasons(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		m, bad := decode(Delivery{Key: "k", MessageID: "m", Body: []byte(body)}, 1000, began)
		switch {
		case want == "" && bad != nil:
			t.Errorf("%.60s: %v", body, bad)
		case want != "" && (bad == nil || bad.reason != want):
			t.Errorf("%.60s: %v, want %s", body, bad, want)
		case want != "" && (m.id != "m" || m.key != "k" || m.size != len(body)):
			t.Errorf("%.60s: %+v does not say what the broker knows", body, m)
		}
	}
	f(`{"id":1,"type":"EVENT","from_agent":"a"}`, "") // a number is an id
	f(`{"id":"1","type":"event","from_agent":"a","more":{}}`, "")
	f(`{"specversion":"1.0","id":"1","type":"x","source":"a","time":"yesterday"}`, "")
	f(`{"specversion":"0.3","id":"1","type":"x","source":"a"}`, notMessage)
	f(`{"specversion":"1.0","id":"","type":"x","source":"a"}`, notMessage)
	f(`{"type":"EVENT","from_agent":"a"}`, notMessage)
	f(`null`, notMessage)
	f(`[]`, notMessage)
	f(`{`, notJSON)
	f("\xff\x00", notJSON)
	f(`{"id":"`+strings.Repeat("x", 2000)+`"}`, tooBig)
}

// FuzzDecode: whatever is on the bus, the tap takes it in its stride and what it tells is text.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"c1","type":"COMMAND","from_agent":"a","to_agent":"b","trace_id":"t","payload":{}}`), "cmd.b.b", "", "")
	f.Add([]byte(`{"specversion":"1.0","id":"r1","type":"ai.team.result","source":"a%20b","toagent":"b","data":{"metrics":{"tokens_used":"7"}}}`),
		"res.b.a", "c1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add([]byte(`{"specversion":"1.0","id":1e9,"type":"ai.team.error","source":"\ud800","data":{"error":{"code":8,"message":"x"}}}`), "", "", "x")
	f.Add([]byte(`{"metrics":`), "", "", "")
	cfg := Config{}.withDefaults()
	f.Fuzz(func(t *testing.T, body []byte, key, correlation, parent string) {
		d := Delivery{Key: key, CorrelationID: correlation, Headers: map[string]string{"Traceparent": parent, "baggage": parent}, Body: body}
		m, bad := decode(d, 1<<20, began)
		if bad == nil && (m.id == "" || m.from == "") {
			t.Errorf("a message without id or sender: %+v", m)
		}
		for _, s := range []string{m.id, m.from, m.to, m.task, m.model, m.errorCode, m.errorMessage, m.team} {
			if !utf8.ValidString(s) && utf8.Valid(body) && utf8.ValidString(parent) {
				t.Errorf("%q is no text", s)
			}
		}
		out := newWriter("x")
		p := newPairing(cfg, out, newHold(cfg.Hold, 10), &counters{})
		p.take(d, began)
		p.take(d, began.Add(time.Second))
		p.tick(began.Add(time.Hour))
		p.drain(began.Add(time.Hour))
		if len(p.pending) != 0 {
			t.Errorf("%d commands wait for ever", len(p.pending))
		}
	})
}
