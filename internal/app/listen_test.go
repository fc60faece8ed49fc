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
