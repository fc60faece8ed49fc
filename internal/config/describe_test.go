package config

import (
	"slices"
	"testing"
)

// TestEverySettingIsDescribed: docs/cli.md is made from these.
func TestEverySettingIsDescribed(t *testing.T) {
	known := map[string]bool{}
	for _, s := range Describe() {
		if known[s.Key] = true; s.Doc == "" {
			t.Errorf("%s is not described: add a line to docs() in describe.go and run `make generate`", s.Key)
		}
		if s.Env == "" && s.Flag != "" {
			t.Errorf("%s has a flag and no variable", s.Key)
		}
	}
	for key := range docs() {
		if !known[key] {
			t.Errorf("%s is described and is no setting", key)
		}
	}
	for _, key := range flags() {
		if !known[key] {
			t.Errorf("%s has a flag and is no setting", key)
		}
	}
	if i := slices.IndexFunc(Describe(), func(s Setting) bool { return s.Key == "otlp.max_message_mib" }); i < 0 ||
		Describe()[i].Env != "MINDSCOPE_OTLP_MAX_MESSAGE_MIB" || Describe()[i].Flag != "--otlp.max-message-mib" || Describe()[i].Default != "64" {
		t.Errorf("otlp.max_message_mib is described as %+v", Describe())
	}
}
