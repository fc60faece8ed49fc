package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/rule"
)

// TestDefaultThresholds: the settings' defaults are the ones that the shipped rules are tested with.
func TestDefaultThresholds(t *testing.T) {
	settings := config.Default(func(string) string { return "" })
	if d := cmp.Diff(rule.DefaultThresholds(), rule.Thresholds(settings.Rules.Thresholds)); d != "" {
		t.Errorf("rules against settings: %s", d)
	}
}
