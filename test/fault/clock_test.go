//go:build longfault

package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// clockServer builds the server with a clock that can be set, and makes it the one that harness starts. The server's own code is
// as it is; Go's package time gets one line more, and nearly everything is compiled anew, which takes minutes: so this is a test of
// `make fault` alone, by its build tag. The store's own test of the clock runs everywhere.
// set sets the clock of all servers forth by a time, back when it is negative.
func clockServer(t *testing.T) (set func(d time.Duration)) {
	t.Helper()
	dir := t.TempDir()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	text, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const old = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), old) != 1 {
		t.Fatal("time.Now of this release of Go is not the one that this test knows")
	}
	patched := filepath.Join(dir, "time.go")
	if err := os.WriteFile(patched, []byte(strings.Replace(string(text), old, old+"\tsec += shift.Load()\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	root := harness.Root(t)
	ours := filepath.Join(root, "test", "fault", "testdata", "clock")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(std, "time.go"):                           patched,
		filepath.Join(std, "shift.go"):                          filepath.Join(ours, "shift.go"),
		filepath.Join(root, "cmd", "mindscope", "testclock.go"): filepath.Join(ours, "watch.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	list, binary, clock := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mindscope"), filepath.Join(dir, "clock")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-overlay", list, "-o", binary, "./cmd/mindscope")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server with a clock of its own: %v\n%s", err, out)
	}
	t.Setenv("MINDSCOPE_BIN", binary)
	t.Setenv("MINDSCOPE_TEST_CLOCK", clock)
	return func(d time.Duration) {
		t.Helper()
		if err := os.WriteFile(clock+".new", []byte(strconv.FormatInt(int64(d/time.Second), 10)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(clock+".new", clock); err != nil {
			t.Fatal(err)
		}
	}
}

// serverClock waits until the server's clock is about as far from ours as it should be, as its answers say.
func serverClock(t *testing.T, s *harness.Server, want time.Duration) {
	t.Helper()
	eventually(t, "the server's clock to be set", func() error {
		resp, err := http.Get(s.HTTP + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		at, err := http.ParseTime(resp.Header.Get("Date"))
		if err == nil && (time.Until(at)-want).Abs() > 10*time.Second {
			err = fmt.Errorf("it is %s", at)
		}
		return err
	})
}

// TestServerClockJumpsBack sets the clock of a running server back by a day, kills it there, starts it again and sets the clock
// forth. Agents go on sending, some with a clock that was set as well, and send again what they sent before: all that was
// acknowledged is there, once, at once, and no day is removed.
func TestServerClockJumpsBack(t *testing.T) {
	const day = 24 * time.Hour
	set := clockServer(t)
	data := t.TempDir()
	var acked []request
	next := uint64(0)
	// put sends requests of all ages that the server's clock allows, with its clock at the time shift from ours, and repeats some.
	put := func(s *harness.Server, shift time.Duration) {
		t.Helper()
		for _, age := range []time.Duration{0, -day, -3 * day, time.Hour, day} {
			r := request{number: next, spans: 3, prompt: strings.Repeat("what time is it ", 50), at: time.Now().Add(shift + age)}
			next++
			mustSend(t, s, r)
			acked = append(acked, r)
		}
		for i := 0; i < len(acked); i += 3 {
			mustSend(t, s, acked[i])
		}
	}
	check := func(s *harness.Server) {
		t.Helper()
		for _, r := range acked {
			eventually(t, "an acknowledged trace to be readable", func() error {
				n, err := spansOf(s, r.number)
				if err == nil && n != r.spans {
					err = fmt.Errorf("trace %d has %d spans, %d were acknowledged", r.number, n, r.spans)
				}
				return err
			})
		}
		if _, text, code := s.Run(t, "tasks", "--since", "10d"); code != 0 {
			t.Errorf("mindscope tasks: code %d, %s", code, text)
		}
		if n := s.Metric(t, "mindscope_store_evicted_rows_total"); n != 0 {
			t.Errorf("%g rows were evicted", n)
		}
	}
	set(0)
	s := harness.Start(t, harness.Options{Data: data})
	serverClock(t, s, 0)
	put(s, 0)
	check(s)

	set(-day)
	serverClock(t, s, -day)
	put(s, -day)
	check(s)
	s.Kill(t)

	s = harness.Start(t, harness.Options{Data: data}) // with the clock still back
	serverClock(t, s, -day)
	check(s)
	put(s, -day)
	s.Stop(t)

	set(0)
	s = harness.Start(t, harness.Options{Data: data})
	serverClock(t, s, 0)
	check(s)
	put(s, 0)
	set(-day)
	serverClock(t, s, -day)
	set(0) // and forth under a server that runs
	serverClock(t, s, 0)
	put(s, 0)
	check(s)
	s.Stop(t)
	if d := compare(t, open(t, data), acked); d != (difference{}) {
		t.Errorf("the spans of %d acknowledged requests are not as they were sent: %+v", len(acked), d)
	}
}
