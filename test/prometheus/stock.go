// Package prometheus compares MindScope with a stock Prometheus: same samples, same rules, same answers. The stock one
// is built from its module, at the version that MindScope embeds.
package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// Build builds a command of stock Prometheus and returns its path.
func Build(t testing.TB, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), command)
	cmd := exec.Command("go", "build", "-o", path, "github.com/prometheus/prometheus/cmd/"+command)
	cmd.Dir = filepath.Join(harness.Root(t), "test", "prometheus", "stock")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", command, err, out)
	}
	return path
}

// Stock builds and starts a stock Prometheus with a configuration file and returns its address. It takes remote writes.
func Stock(t testing.TB, configFile string) string {
	t.Helper()
	return StockIn(t, configFile, t.TempDir())
}

// StockIn is Stock on a folder of data.
func StockIn(t testing.TB, configFile, data string) string {
	t.Helper()
	return StockOf(t, Build(t, "prometheus"), configFile, data)
}

// StockOf is StockIn with a binary that was built.
func StockOf(t testing.TB, binary, configFile, data string) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config.file", configFile, "--storage.tsdb.path", data, "--web.listen-address", addr,
		"--web.enable-remote-write-receiver", "--web.enable-lifecycle", "--enable-feature=exemplar-storage", "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // what it stored is thrown away
		_ = cmd.Wait()
	})
	url := "http://" + addr
	harness.Eventually(t, time.Minute, "Prometheus to be ready", func() error {
		resp, err := http.Get(url + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
	return url
}

// getJSON reads an answer.
func getJSON(t testing.TB, address string, v any) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s: %s: %v", address, resp.Status, err)
	}
}
