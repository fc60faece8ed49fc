package config

import (
	"strings"
	"testing"
)

// TestNodePassword: what can't be used is named, the password is in no word of it, and nothing that is printed has it.
func TestNodePassword(t *testing.T) {
	f := func(text, variable string, want ...string) {
		t.Helper()
		c, err := Load(Sources{File: write(t, text), Getenv: env("HOME", "/h", "MINDSCOPE_STORE_NODE_PASSWORD", variable)})
		said := ""
		if err != nil {
			said = err.Error()
		}
		if (err == nil) != (len(want) == 0) || strings.Contains(said, "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%q: %v, want %s", text, err, w)
			}
		}
		for _, k := range settings() {
			if k.text != nil && err == nil && strings.Contains(k.text(&c), "s3cret") {
				t.Errorf("%s is printed as %s", k.key, k.text(&c))
			}
		}
	}
	const nodes = "store:\n  nodes: [a:1]\n"
	f(nodes+"  node_user: ann\n", "s3cret")
	f(nodes+"  node_user: ann\n  node_password: s3cret\n", "")
	f(nodes+"  node_password_file: token\n", "")
	f(nodes+"  node_user: ann\n", "", "store.node_user", "store.node_password_file")
	f(nodes+"  node_user: ann:lee\n", "s3cret", "store.node_user", "colon")
	f(nodes+"  node_password_file: token\n", "s3cret", "store.node_password_file", "empty beside store.node_password")
	f("store: {node_user: ann}\n", "s3cret", "store.node_password", "empty without store.nodes", "*****")
	f("store: {node_password_file: token}\n", "", "store.node_password_file", "empty without store.nodes")
	f(nodes+"  node_passwort: s3cret\n", "", "there is no such setting", "*****")
	f(nodes+"  node_password: s3cret\n  node_password: s3cret2\n", "", "is set twice")
}
