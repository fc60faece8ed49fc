package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// smallDisk mounts a small disk at a new folder and returns the folder. It takes the right to mount: in CI its lack is a
// failure, for nothing else shows what a full disk does to the whole server.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	switch {
	case errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "":
		t.Skip("this test mounts a tmpfs: run it as root, or with CAP_SYS_ADMIN")
	case errors.Is(err, syscall.EPERM):
		t.Fatal("this test mounts a tmpfs: CI must run it as root, or with CAP_SYS_ADMIN")
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func freeMiB(t *testing.T, dir string) float64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return float64(st.Bavail) * float64(st.Bsize) / (1 << 20)
}

// fill takes what is free but leave MiB, as another program does.
func fill(t *testing.T, dir, name string, leave float64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := int64((freeMiB(t, dir) - leave) * (1 << 20)); n > 0 {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, n); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	for err = nil; leave == 0 && err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// load sends from some senders until it is stopped: each request again and again until it is acknowledged, as OpenTelemetry's
// exporters do.
type load struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	acked   atomic.Int64 // requests
	refused atomic.Int64 // answers
	mu      sync.Mutex
	all     []request
}

func startLoad(t *testing.T, s *harness.Server, firstNumber uint64) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel}
	for i := range uint64(2) {
		l.running.Go(func() { l.send(ctx, t, s.OTLPHTTP, firstNumber+i<<32) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.running.Wait()
}

func (l *load) send(ctx context.Context, t *testing.T, url string, number uint64) {
	r := request{number: number, spans: 20, at: time.Now()}
	for {
		var b strings.Builder
		for range 200 {
			fmt.Fprintf(&b, "%x ", rand.Uint64())
		}
		r.prompt = b.String()
		body := r.body(t)
		for {
			if ctx.Err() != nil {
				return
			}
			a, err := send(url, body)
			if err != nil {
				return // the server has ended
			}
			if a.status == http.StatusOK && a.text == "" {
				break
			}
			if a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
				t.Errorf("answer %+v; want 503 with Retry-After", a)
				return
			}
			l.refused.Add(1)
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond): // a sender in a hurry
			}
		}
		l.mu.Lock()
		l.all = append(l.all, r)
		l.mu.Unlock()
		l.acked.Add(1)
		r.number++
	}
}

// more waits until a figure has grown by n.
func more(t *testing.T, what string, figure *atomic.Int64, n int64) {
	t.Helper()
	before := figure.Load()
	eventually(t, what, func() error {
		if got := figure.Load() - before; got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// ended tells whether the server's process is gone.
func ended(s *harness.Server) bool {
	return s.Get("/-/healthy", nil) != nil && s.Get("/-/healthy", nil) != nil
}

// readsFor asks for a trace again and again, for some time.
func readsFor(t *testing.T, s *harness.Server, r request, length time.Duration) {
	t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); {
		if n, err := spansOf(s, r.number); err != nil || n != r.spans {
			t.Fatalf("a reader got %d spans, %v\n%s", n, err, s.Output())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sameAsAcked fails the test when acknowledged spans are missing or doubled in the folder of a server that has ended.
func sameAsAcked(t *testing.T, name, dir string, acked []request) {
	t.Helper()
	db := open(t, dir)
	missing, doubled := missingAndDoubled(acked, stored(t, db))
	if missing != 0 || doubled != 0 {
		t.Errorf("%s: of %d requests %d spans are missing, %d doubled", name, len(acked), missing, doubled)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// roomArgs make a floor that suits a small disk: 32 MiB, of which the reserve is 10.
var roomArgs = []string{"--store.min-free-mib", "32"}

// TestWholeDiskFull lets another program fill the disk that log, engine and metrics share, under load: at once below the
// floor, then to the last byte. Senders are told to send again, readers go on, the process lives. With room again the same
// process takes the same requests.
func TestWholeDiskFull(t *testing.T) {
	data := smallDisk(t, 256)
	s := harness.Start(t, harness.Options{Data: data, Args: roomArgs})
	first := request{number: 1, spans: 20, at: time.Now()}
	mustSend(t, s, first)
	l := startLoad(t, s, 1<<40)
	more(t, "the first requests", &l.acked, 100)
	fill(t, data, "filler", 12)
	more(t, "refusals below the floor", &l.refused, 20)
	fill(t, data, "filler", 0)
	t.Logf("%d acknowledged, %g MiB free", l.acked.Load(), freeMiB(t, data))
	readsFor(t, s, first, 12*time.Second) // the engine writes every 5 s
	if n := s.Metric(t, "mindscope_store_refused_writes_total "); n < 20 || s.Metric(t, "mindscope_store_read_only ") != 1 {
		t.Errorf("%g refused writes counted", n)
	}
	if err := os.Remove(filepath.Join(data, "filler")); err != nil {
		t.Fatal(err)
	}
	more(t, "acknowledgements with room again", &l.acked, 50)
	l.end()
	s.Kill(t)
	sameAsAcked(t, "full", data, append(l.all, first))
	figures(t, map[string]float64{"full_disk_refused_requests": float64(l.refused.Load())})
}
