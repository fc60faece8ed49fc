package app

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/config"
)

// TestOpenPorts: nothing but this machine reaches a server that is told nothing; one that others reach says so.
func TestOpenPorts(t *testing.T) {
	for _, addr := range []string{config.Default(noVariables).Listen, config.Default(noVariables).OTLP.GRPC, config.Default(noVariables).OTLP.HTTP} {
		if !isLoopback(addr) {
			t.Errorf("%s is listened on without a word", addr)
		}
	}
	f := func(listen, grpc string, want ...string) {
		t.Helper()
		var log, out bytes.Buffer
		cfg := settings(t.TempDir())
		cfg.Memory, cfg.Metrics.Enabled, cfg.Alertmanager.Enabled = true, false, false
		cfg.Listen, cfg.OTLP.GRPC = listen, grpc
		a, err := New(cfg, Build{Version: "test", Log: &log, Out: &out})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.hello()
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "without authentication"); got != len(want) {
			t.Errorf("%d warnings, want %d\n%s", got, len(want), &log)
		}
		for _, flag := range want {
			if !strings.Contains(log.String(), "setting="+flag+" ") {
				t.Errorf("no warning of %s\n%s", flag, &log)
			}
		}
		if open := strings.Contains(out.String(), "no authentication"); open != (listen == "0.0.0.0:0" || listen == ":0") {
			t.Errorf("open: %v\n%s", open, &out)
		}
	}
	f("127.0.0.1:0", "127.0.0.1:0")
	if !isLoopback("[::1]:9090") || isLoopback("10.0.0.1:9090") || isLoopback("[::]:9090") || isLoopback("nonsense") {
		t.Error("loopback is not told apart from the rest")
	}
	f("0.0.0.0:0", "127.0.0.1:0", "--listen")
	f(":0", ":0", "--listen", "--otlp.grpc")
}

func noVariables(string) string { return "" }

// TestOpenGossip: whoever reaches the gossip of Alertmanagers takes part, unless it has TLS. A peer is not started: it has
// no way to be ended.
func TestOpenGossip(t *testing.T) {
	f := func(listen, tls string, want bool) {
		t.Helper()
		var log bytes.Buffer
		cfg := settings(t.TempDir())
		cfg.Alertmanager.ClusterListen, cfg.Alertmanager.ClusterTLS = listen, tls
		a, err := New(cfg, Build{Version: "test", Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		a.warnOfGossip()
		if got := strings.Contains(log.String(), "setting=--alertmanager.cluster-listen address="+listen+" "); got != want {
			t.Errorf("%s with TLS %q: warned %v, want %v\n%s", listen, tls, got, want, &log)
		}
		if !want && log.Len() > 0 {
			t.Errorf("%s with TLS %q: %s", listen, tls, &log)
		}
	}
	f("", "", false)
	f("127.0.0.1:9094", "", false)
	f("10.0.0.1:9094", "gossip.yml", false)
	f("10.0.0.1:9094", "", true)
	f("0.0.0.0:9094", "", true)
}
