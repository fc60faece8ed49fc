package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// smallDisk mounts a small disk at a new folder and returns the folder.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	harness.SmallDisk(t, dir, 256<<20)
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
	for _, step := range []int64{16 << 20, 1 << 20, 64 << 10} { // a tmpfs takes back a step that does not fit
		for freeMiB(t, dir)-float64(step)/(1<<20) >= leave {
			info, err := f.Stat()
			if err == nil {
				err = syscall.Fallocate(int(f.Fd()), 0, info.Size(), step)
			}
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
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

// livesFor tells whether the server answers for some time.
func livesFor(s *harness.Server, length time.Duration) bool {
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s.Get("/-/healthy", nil) != nil {
			return false
		}
	}
	return true
}

// sameAsAcked fails the test when acknowledged spans are missing, doubled or changed in the folder of a server that has ended.
func sameAsAcked(t *testing.T, name, dir string, acked []request) {
	t.Helper()
	db := open(t, dir)
	if d := compare(t, db, acked); d != (difference{}) {
		t.Errorf("%s: of %d requests %+v", name, len(acked), d)
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
	data := smallDisk(t)
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

	// The same again, with a crash while the disk is full: the next server starts on the full disk, and is read.
	fill(t, data, "filler", 12)
	more(t, "refusals below the floor", &l.refused, 20)
	eventually(t, "what is in memory to be written", func() error {
		if n := s.Metric(t, "mindscope_wal_lag_records "); n != 0 {
			return fmt.Errorf("%g records are in the log only", n)
		}
		return nil
	})
	fill(t, data, "filler", 0)
	s.Kill(t)
	l.end()
	s = harness.Start(t, harness.Options{Data: data, Args: roomArgs})
	readsFor(t, s, first, time.Second)
	if err := os.Remove(filepath.Join(data, "filler")); err != nil {
		t.Fatal(err)
	}
	again := startLoad(t, s, 1<<41)
	more(t, "acknowledgements after a start on a full disk", &again.acked, 50)
	again.end()
	s.Kill(t)
	sameAsAcked(t, "full", data, slices.Concat(l.all, again.all, []request{first}))
	figures(t, map[string]float64{"full_disk_refused_requests": float64(l.refused.Load())})
}

// TestDiskFillsAtOnce fills the disk within a moment, from far above the floor to the last byte, under load. The server may
// end when the engine writes in that very moment; then it says why, and the next start has everything that was acknowledged.
// `make fault` counts how often it lives.
func TestDiskFillsAtOnce(t *testing.T) {
	rounds, lived := 1, 0
	if full() {
		rounds = 10
	}
	for range rounds {
		data := smallDisk(t)
		s := harness.Start(t, harness.Options{Data: data, Args: roomArgs})
		first := request{number: 1, spans: 20, at: time.Now()}
		mustSend(t, s, first)
		l := startLoad(t, s, 1<<40)
		more(t, "the first requests", &l.acked, 50+rand.Int64N(100))
		fill(t, data, "filler", 0)
		ended := !livesFor(s, 6*time.Second) // the engine writes every 5 s
		if ended && !strings.Contains(s.Output(), "put that right first") {
			t.Fatalf("the server ended and did not say why:\n%.3000s", s.Output())
		}
		if err := os.Remove(filepath.Join(data, "filler")); err != nil {
			t.Fatal(err)
		}
		if ended {
			l.end()
			s = harness.Start(t, harness.Options{Data: data, Args: roomArgs})
		} else {
			lived++
			more(t, "acknowledgements with room again", &l.acked, 20)
			l.end()
		}
		s.Kill(t)
		sameAsAcked(t, "at once", data, append(l.all, first))
	}
	if full() && lived < rounds/2 {
		t.Errorf("the server lived through %d of %d full disks", lived, rounds)
	}
	figures(t, map[string]float64{"full_at_once_rounds": float64(rounds), "full_at_once_lived": float64(lived)})
}

// otherUser is who the server runs as where the test is root's, whom permissions do not bind.
const otherUser = 65534

// TestPermissionLost takes the right to write away from the folder of a running server.
func TestPermissionLost(t *testing.T) {
	options := func(data string) harness.Options {
		o := harness.Options{Data: data, Args: roomArgs}
		if os.Geteuid() == 0 {
			o.User = otherUser
		}
		return o
	}
	newFolder := func() string {
		data := t.TempDir()
		if err := os.Chmod(filepath.Dir(data), 0o755); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(data, otherUser, otherUser); err != nil {
				t.Fatal(err)
			}
		}
		return data
	}
	chmod := func(data string, mode os.FileMode) {
		t.Helper()
		err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return os.Chmod(path, mode)
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a merge has removed it
			t.Fatal(err)
		}
	}
	takeAway(t, newFolder, options, func(data string) { chmod(data, 0o550) }, func(data string) { chmod(data, 0o750) })
}

// TestReadOnlyDisk lets the disk turn read-only under a running server. What is open stays writable here: a tmpfs does not
// turn while there are open files, so that a read-only view of it takes its place.
func TestReadOnlyDisk(t *testing.T) {
	mount := func(data string, flags uintptr) {
		t.Helper()
		if err := syscall.Mount(data, data, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	options := func(data string) harness.Options { return harness.Options{Data: data, Args: roomArgs} }
	takeAway(t, func() string { return smallDisk(t) }, options, func(data string) {
		mount(data, syscall.MS_BIND)
		mount(data, syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY)
	}, func(data string) {
		if out := startFails(t, data); !strings.Contains(out, "read-only") {
			t.Errorf("a start on a read-only disk does not say so:\n%.2000s", out)
		}
		if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	})
}

// takeAway lets a folder become one that can't be written to. A server that has all in its files refuses writes, reads on,
// and goes on when it may write again. One under load ends when the engine can't write what it has in memory, and says why;
// the next start has everything that was acknowledged.
func takeAway(t *testing.T, newFolder func() string, options func(data string) harness.Options, fail, heal func(data string)) {
	first := request{number: 1, spans: 20, at: time.Now()}
	t.Run("idle", func(t *testing.T) {
		data := newFolder()
		s := harness.Start(t, options(data))
		mustSend(t, s, first)
		s.Stop(t)
		s = harness.Start(t, options(data))
		fail(data)
		eventually(t, "the server to see it", func() error {
			if s.Metric(t, "mindscope_store_read_only ") != 1 {
				return errNotYet
			}
			return nil
		})
		next := request{number: 2, spans: 20, at: time.Now()}
		if a, err := send(s.OTLPHTTP, next.body(t)); err != nil || a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
			t.Errorf("%v, %+v; want 503 with Retry-After", err, a)
		}
		readsFor(t, s, first, 7*time.Second) // the engine writes every 5 s
		if n := s.Metric(t, "mindscope_store_refused_writes_total "); n < 1 || s.Metric(t, "mindscope_store_read_only ") != 1 {
			t.Errorf("%g refused writes counted", n)
		}
		heal(data)
		eventually(t, "writes to be taken", func() error {
			if a, err := send(s.OTLPHTTP, next.body(t)); err != nil || a.status != http.StatusOK {
				return fmt.Errorf("%w: %+v", errors.Join(err, errNotYet), a)
			}
			return nil
		})
		s.Kill(t)
		again := harness.Start(t, options(data))
		again.Stop(t)
		sameAsAcked(t, "idle", data, []request{first, next})
	})
	t.Run("under load", func(t *testing.T) {
		data := newFolder()
		s := harness.Start(t, options(data))
		mustSend(t, s, first)
		l := startLoad(t, s, 1<<40)
		more(t, "the first requests", &l.acked, 50)
		fail(data)
		if err := s.Ended(t, 30*time.Second); err == nil {
			t.Error("the server ended well")
		}
		if out := s.Output(); !strings.Contains(out, "the engine ends the process") || !strings.Contains(out, "put that right first") {
			t.Errorf("it does not say why it ended:\n%.3000s", out)
		}
		l.end()
		heal(data)
		again := harness.Start(t, options(data))
		again.Stop(t)
		sameAsAcked(t, "under load", data, append(l.all, first))
	})
}
