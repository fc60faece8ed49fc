package config

import (
	"strings"
	"testing"
)

// TestSwitches: the parts that one already has are switched off in a word.
func TestSwitches(t *testing.T) {
	c, err := Load(Sources{File: write(t, "metrics: off\nrules: off\nalertmanager: off\n"), Getenv: env("HOME", "/h")})
	if err != nil || c.Metrics.Enabled || c.Rules.Enabled || c.Alertmanager.Enabled {
		t.Errorf("%v, %+v %+v %+v", err, c.Metrics, c.Rules.Enabled, c.Alertmanager)
	}
	c, err = Load(Sources{File: write(t, "metrics: on\nrules: {enabled: false}\n"), Getenv: env("HOME", "/h")})
	if err != nil || !c.Metrics.Enabled || c.Rules.Enabled {
		t.Errorf("%v, %+v %+v", err, c.Metrics, c.Rules.Enabled)
	}
	for text, want := range map[string]string{
		"log: off\n":       `log = "off"`,
		"metrics: maybe\n": `metrics = "maybe"`,
		"metrics: {query_url: 'prometheus:9090'}\n":        "must be an http or https URL",
		"metrics: {query_url: 'ftp://ada:secret@host/'}\n": "ftp://ada:xxxxx@host/",
	} {
		if _, err := Load(Sources{File: write(t, text), Getenv: env("HOME", "/h")}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
