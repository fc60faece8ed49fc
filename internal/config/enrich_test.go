package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnrichSettings(t *testing.T) {
	path := write(t, `
prices: prices.yaml
redact:
  mode: hmac
  key: 0123456789abcdef
  credentials: false
  groups: [email, card]
  attributes:
    - my.secret
  patterns:
    contract: '№ ?(\d+/\d+)'
capture:
  default: metadata
  teams: {newsroom: failed-only}
  agents:
    newsroom/critic: all
    "*/judge": metadata
`)
	c, err := Load(Sources{File: path, Getenv: env("HOME", "/h", "MINDSCOPE_REDACT_GROUPS", "phone, inn")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("prices.yaml", c.Prices); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Redact{
		Mode: "hmac", Key: "0123456789abcdef", Groups: []string{"phone", "inn"}, Attributes: []string{"my.secret"},
		Patterns: map[string]string{"contract": `№ ?(\d+/\d+)`},
	}, c.Redact); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Capture{
		Default: "metadata", Teams: map[string]string{"newsroom": "failed-only"},
		Agents: map[string]string{"newsroom/critic": "all", "*/judge": "metadata"},
	}, c.Capture); d != "" {
		t.Error(d)
	}
}

func TestCaptureInOneWord(t *testing.T) {
	c, err := Load(Sources{File: write(t, "capture: failed-only"), Getenv: env("HOME", "/h")})
	if err != nil || c.Capture.Default != "failed-only" {
		t.Errorf("%+v %v", c.Capture, err)
	}
	c, err = Load(Sources{Getenv: env("HOME", "/h", "MINDSCOPE_CAPTURE", "metadata")})
	if err != nil || c.Capture.Default != "metadata" {
		t.Errorf("%+v %v", c.Capture, err)
	}
}

func TestEnrichSettingsThatAreWrong(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Load(Sources{File: write(t, text), Getenv: env("HOME", "/h")})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %q in it", text, err, w)
			}
		}
	}
	f("redact:\n  patterns:\n    contract: '('", "redact.patterns.contract", "missing closing", "line 3")
	f("redact:\n  patterns:\n    ahead: '(?=x)'", "redact.patterns.ahead", "RE2")
	f("redact:\n  patterns:\n    any: 'x*'", "redact.patterns.any", "empty text")
	f("redact:\n  patterns: {'a b': x}", "redact.patterns.a b", "letters, digits")
	f("redact:\n  patterns: {a: x, a: y}", "redact.patterns.a", "twice")
	f("redact:\n  patterns: [x]", "redact.patterns", "mapping")
	f("redact:\n  groups: [emial]", "redact.groups", "emial", "email", "line 2")
	f("redact:\n  groups: [[email]]", "redact.groups", "list of texts")
	f("redact: {mode: blur}", "redact.mode", "mask, drop or hmac")
	f("redact: {mode: hmac, key: short}", "redact.key", "16 bytes", "*****")
	f("redact: {emails: true}", "redact.emails", "no such setting")
	f("capture: some", "capture", "all, metadata, failed-only", "line 1")
	f("capture:\n  agents: {critic: all}", "capture.agents.critic", "TEAM/AGENT")
	f("capture:\n  teams: {newsroom: nothing}", "capture.teams.newsroom", "failed-only")
	f("prices: {a: 1}", "prices", "single value")
}
