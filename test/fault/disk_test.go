package fault

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// TestLogDiskFails takes the log's disk away under a running server: full, read-only, gone. Senders are asked to send
// again, readers work, the process lives; when the disk is back, the same requests are taken, each once. Without the
// right to mount only the last of the three can be made.
func TestLogDiskFails(t *testing.T) {
	now := time.Now()
	refused := 0.0
	run := func(name string, prepare func(dir string) error, fail, heal func(dir string) error) {
		t.Helper()
		data := t.TempDir()
		logDir := filepath.Join(data, "wal")
		if err := os.Mkdir(logDir, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := prepare(logDir); harness.NoMount(t, err) {
			t.Logf("%s: this user may not mount; the folder taken away stands for it", name)
			return
		} else if err != nil {
			t.Fatal(err)
		}
		s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
		if err := fail(logDir); err != nil {
			t.Fatal(err)
		}
		r := request{number: 1, spans: 50, prompt: strings.Repeat("long prompt ", 100), at: now}
		for range 3 {
			a, err := send(s.OTLPHTTP, r.body(t))
			if err != nil || a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
				t.Fatalf("%s: %v, %+v; want 503 with Retry-After\n%s", name, err, a, s.Output())
			}
			refused++
		}
		var tasks any
		if err := s.Get("/api/mindscope/v1/tasks", &tasks); err != nil {
			t.Errorf("%s: readers: %v", name, err)
		}
		if n := s.Metric(t, "mindscope_wal_failures_total "); n < 3 {
			t.Errorf("%s: %g failures counted", name, n)
		}
		if err := heal(logDir); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, r)
		s.Kill(t) // it was acknowledged
		again := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
		again.Stop(t)
		db := open(t, data)
		if d := compare(t, db, []request{r}); d != (difference{}) {
			t.Errorf("%s: spans are not as they were sent: %+v", name, d)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	filler := func(dir string) string { return filepath.Join(dir, "filler") }
	mount := func(dir string) error {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			return err
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		return nil
	}
	run("full", mount, func(dir string) error {
		f, err := os.Create(filler(dir))
		if err != nil {
			return err
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if errors.Is(err, syscall.ENOSPC) {
			err = nil
		}
		return err
	}, func(dir string) error { return os.Remove(filler(dir)) })
	run("read-only", mount,
		func(dir string) error { return syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "") },
		func(dir string) error { return syscall.Mount("", dir, "", syscall.MS_REMOUNT, "") })
	run("gone", func(string) error { return nil },
		func(dir string) error { return os.Rename(dir, dir+".away") },
		func(dir string) error { return os.Rename(dir+".away", dir) })
	figures(t, map[string]float64{"disk_refused_requests": refused})
}

// TestTornLog cuts and bends the newest bytes of a killed server's log: it starts, says which file and where, and all
// records before them are there.
func TestTornLog(t *testing.T) {
	f := func(name, says string, damage func([]byte) []byte, lost int) {
		t.Helper()
		data := t.TempDir()
		s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
		var acked []request
		for i := range 10 {
			r := request{number: uint64(i), spans: 3, own: 700, at: time.Now()}
			mustSend(t, s, r)
			acked = append(acked, r)
		}
		s.Kill(t)
		segments, err := filepath.Glob(filepath.Join(data, "wal", "*.log"))
		if err != nil || len(segments) != 1 {
			t.Fatalf("segments %v, %v", segments, err)
		}
		b, err := os.ReadFile(segments[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(segments[0], damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		again := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
		if out := again.Output(); !strings.Contains(out, says) || !strings.Contains(out, segments[0]) {
			t.Errorf("%s: no message names the file and %q:\n%s", name, says, out)
		}
		again.Stop(t)
		if d := compare(t, open(t, data), acked); d != (difference{missing: lost}) {
			t.Errorf("%s: %+v; want %d missing spans", name, d, lost)
		}
	}
	f("torn", "was cut there", func(b []byte) []byte { return b[:len(b)-7] }, 3)
	f("garbage behind it", "was cut there", func(b []byte) []byte { return append(b, "garbage"...) }, 0)
	f("bit flip", "the log is damaged", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, 3)
}

// TestDamagedFolder damages files that a start reads: it ends with a message that names the file, and does not serve.
func TestDamagedFolder(t *testing.T) {
	data := t.TempDir()
	s := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	mustSend(t, s, request{number: 1, spans: 3, at: time.Now()})
	s.Stop(t)
	f := func(pattern string) {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		whole, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(paths[0], []byte("{rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := startFails(t, data); !strings.Contains(out, filepath.Base(paths[0])) || !strings.Contains(out, data) {
			t.Errorf("%s: no message names the file:\n%.2000s", pattern, out)
		}
		if err := os.WriteFile(paths[0], whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f("VERSION")
	f("events/partitions/*/datadb/parts.json")
	f("events/partitions/*/datadb/*/metadata.json")
	again := harness.Start(t, harness.Options{Data: data, Args: []string{"--no-metrics.enabled"}})
	eventually(t, "the mended folder to be read", func() error {
		if n, err := spansOf(again, 1); err != nil || n != 3 {
			return errors.Join(err, errNotYet)
		}
		return nil
	})
}
