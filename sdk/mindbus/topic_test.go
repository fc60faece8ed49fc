package mindbus

import (
	"strings"
	"testing"
)

func TestTopicMatch(t *testing.T) {
	f := func(pattern, key string, want bool) {
		t.Helper()
		if got := topicMatch(pattern, key); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, key, got, want)
		}
	}
	f("cmd.writer", "cmd.writer", true)
	f("cmd.writer", "cmd.critic", false)
	f("cmd.*", "cmd.writer", true)
	f("cmd.*", "cmd", false)
	f("cmd.*", "cmd.writer.1", false)
	f("#", "", true)
	f("#", "a.b.c", true)
	f("a.#", "a", true)
	f("#.c", "a.b.c", true)
	f("a.#.c", "a.c", true)
	f("a.#.b.#.c", "a.x.b.b.c", true)
	f("a.#.b", "a.b.c", false)
	f("*.#", "", true) // an empty key is one empty word
	f("#.*", "a", true)
	f("a..b", "a..b", true)
}

// matchSlowly is the definition itself.
func matchSlowly(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return matchSlowly(pattern[1:], key) || len(key) > 0 && matchSlowly(pattern, key[1:])
	case len(key) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == key[0]) && matchSlowly(pattern[1:], key[1:])
}

func FuzzTopicMatch(f *testing.F) {
	f.Add("a.#.b.*", "a.x.b.c")
	f.Add("#.#.a", "a.a")
	f.Fuzz(func(t *testing.T, pattern, key string) {
		p, k := strings.Split(pattern, "."), strings.Split(key, ".")
		if len(p) > 6 || len(k) > 12 {
			return
		}
		if got, want := topicMatch(pattern, key), matchSlowly(p, k); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, key, got, want)
		}
	})
}

func TestRoutes(t *testing.T) {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	f := func(typ Type, to, wantKey, wantTemplate string) {
		t.Helper()
		r, err := cfg.routeOf(Message{Type: typ, From: "orchestrator", To: to})
		if err != nil {
			t.Errorf("%s to %s: %v", typ, to, err)
		}
		if r.key != wantKey || r.template != wantTemplate {
			t.Errorf("%s to %s goes to %q as %q, want %q as %q", typ, to, r.key, r.template, wantKey, wantTemplate)
		}
	}
	f(Command, "writer", "cmd.writer.writer", "cmd.writer")
	f(Command, "writer-12", "cmd.writer.writer-12", "cmd.writer")
	f(Command, "gpt4", "cmd.gpt4.gpt4", "cmd.gpt4")
	f(Command, "a.b*#%", "cmd.a%2Eb%2A%23%25.a%2Eb%2A%23%25", "cmd.a%2Eb%2A%23%25")
	f(Result, "writer-12", "res.writer-12.orchestrator", "res.writer")
	f(ErrorResult, "writer", "res.writer.orchestrator", "res.writer")
	f(Event, "article.published", "evt.article.published", "evt.article.published")
	f(Control, "writer-1.pause", "ctl.writer-1.pause", "ctl.writer.pause")
	f(Control, "writer", "ctl.writer.all", "ctl.writer.all")
	_, err = cfg.routeOf(Message{Type: Event, To: "published"})
	wantInvalid(t, err, "`topic.event`")
}

func TestConfigFailure(t *testing.T) {
	_, err := New(NewMemory(), Config{Priorities: Priorities{Control: 11, Max: 10}, MaxLength: -1})
	for _, want := range []string{"11 is higher than max, 10", "-1 is negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
	if _, err := New(nil, Config{}); err == nil {
		t.Error("a bus without a transport was made")
	}
}
