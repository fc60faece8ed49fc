package fault

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

// TestKill9 kills the server at random moments under load, many times on one folder. A sender sends again what was not
// acknowledged, as OpenTelemetry's do. In the end nothing acknowledged is missing, nothing is there twice, and every span
// has the texts it was sent with. A few lives are long: they see the engine write its memory to files by itself (5 s),
// and the longest a checkpoint as well (15 s).
func TestKill9(t *testing.T) {
	f := func(name string, rounds int, long []time.Duration, r request) {
		t.Run(name, func(t *testing.T) { killRounds(t, name, lives(rounds, 630*time.Millisecond, long), r) })
	}
	at := time.Now()
	small := request{spans: 5, system: words("the rules of the team", 800), prompt: words("a short question", 600), own: 600, at: at}
	large := request{spans: 200, system: words("the rules of the team", 3000), prompt: words("x y", 2000), own: 600, at: at}
	if full() {
		long := []time.Duration{7 * time.Second, 12 * time.Second, 17 * time.Second, 21 * time.Second, 33 * time.Second}
		f("small", 50, long, small)
		f("large", 50, long, large)
		return
	}
	f("small", 10, []time.Duration{6 * time.Second}, small)
	f("large", 10, nil, large)
}

// words repeats a text until it is long enough to be stored as a payload of its own.
func words(text string, n int) string { return strings.Repeat(text+" ", n/len(text)+1) }

// lives are random times to live, some long ones among them, which come last: they find a folder that is not empty, and
// the last of all a log of long lives.
func lives(rounds int, longest time.Duration, long []time.Duration) []time.Duration {
	out := make([]time.Duration, 0, rounds)
	for range rounds - len(long) - 1 {
		out = append(out, 30*time.Millisecond+time.Duration(rand.Int64N(int64(longest))))
	}
	return append(append(out, long...), longest/2)
}

// sender sends requests of its own numbers, each until it is acknowledged.
type sender struct {
	next  uint64
	acked []request
}

const senders = 4

func newSenders() []*sender {
	all := make([]*sender, senders)
	for i := range all {
		all[i] = &sender{next: uint64(i) << 32}
	}
	return all
}

func ackedOf(all []*sender) []request {
	var acked []request
	for _, one := range all {
		acked = append(acked, one.acked...)
	}
	return acked
}

func killRounds(t *testing.T, name string, lives []time.Duration, like request) {
	dir := t.TempDir()
	all := newSenders()
	var replayed float64
	for _, life := range lives {
		s := harness.Start(t, harness.Options{Data: dir, Args: []string{"--no-metrics.enabled"}})
		replayed += s.Metric(t, "mindscope_wal_replayed_records_total ")
		var wg sync.WaitGroup
		for _, one := range all {
			wg.Go(func() { one.run(t, s.OTLPHTTP, like) })
		}
		time.Sleep(life) // the random moment
		s.Kill(t)
		wg.Wait()
	}
	acked := ackedOf(all)
	s := harness.Start(t, harness.Options{Data: dir, Args: []string{"--no-metrics.enabled"}})
	for range 20 {
		r := acked[rand.IntN(len(acked))]
		eventually(t, "an acknowledged trace to be readable", func() error {
			n, err := spansOf(s, r.number)
			if err == nil && n != r.spans {
				err = fmt.Errorf("trace %d has %d spans, %d were acknowledged", r.number, n, r.spans)
			}
			return err
		})
	}
	s.Stop(t)
	killed(t, name, dir, acked, len(lives), replayed)
}

// killed compares the folder of a server that was killed often with what it acknowledged.
func killed(t *testing.T, name, dir string, acked []request, rounds int, replayed float64) {
	t.Helper()
	d := compare(t, open(t, dir), acked)
	if d != (difference{}) {
		t.Errorf("of the acknowledged spans %d are missing, %d are doubled, %d have other texts", d.missing, d.doubled, d.changed)
	}
	if len(acked) < rounds {
		t.Errorf("only %d requests were acknowledged in %d rounds", len(acked), rounds)
	}
	spans := 0
	for _, r := range acked {
		spans += r.spans
	}
	figures(t, map[string]float64{
		"kill9_" + name + "_rounds": float64(rounds), "kill9_" + name + "_acked_spans": float64(spans),
		"kill9_" + name + "_missing_spans": float64(d.missing), "kill9_" + name + "_doubled_spans": float64(d.doubled),
		"kill9_" + name + "_changed_spans": float64(d.changed), "kill9_" + name + "_replayed_records": replayed,
	})
}

// run sends until the server is gone. One request in seven is sent twice.
func (s *sender) run(t *testing.T, url string, like request) {
	for {
		r := like
		r.number = s.next
		body := r.body(t)
		a, err := send(url, body)
		if err == nil && s.next%7 == 0 {
			a, err = send(url, body)
		}
		if err != nil {
			return
		}
		if a.status != http.StatusOK || a.text != "" {
			t.Errorf("answer %+v", a)
			return
		}
		s.acked = append(s.acked, r)
		s.next++
	}
}

// What the process that is killed is told: its folder, and the time of the spans and the next number of each writer.
const (
	killedDir  = "MINDSCOPE_FAULT_KILLED_DIR"
	killedFrom = "MINDSCOPE_FAULT_KILLED_FROM"
)

// storeConfig makes a life of a second as eventful as one of minutes.
func storeConfig() eventdb.Config {
	return eventdb.Config{CheckpointEvery: 50 * time.Millisecond, SegmentBytes: 16 << 10}
}

// TestKill9Store kills a process that has nothing but the store, whose checkpoints come twenty times a second and whose files of
// the log are small: the log is cut many times in every life, and the engine merges what the checkpoints made it write.
func TestKill9Store(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		writeUntilKilled(t, dir, os.Getenv(killedFrom))
		return
	}
	rounds := 6
	if full() {
		rounds = 50
	}
	dir := t.TempDir()
	all := newSenders()
	at := time.Now()
	var sum lifeFigures
	files := 0
	for _, life := range lives(rounds, time.Second, []time.Duration{3 * time.Second}) {
		fig := storeLife(t, dir, at, all, life)
		sum.checkpoints += fig.checkpoints
		sum.replayed += fig.replayed
		files += fullFiles(t, dir)
	}
	parts := partsIn(t, dir)
	killed(t, "store", dir, ackedOf(all), rounds, float64(sum.replayed))
	t.Logf("%+v, %d whole files of the log, %d parts", sum, files, parts)
	if sum.checkpoints < rounds || files < rounds {
		t.Errorf("%d checkpoints were made and %d whole files of the log were there after %d lives: too few to prove anything", sum.checkpoints, files, rounds)
	}
	if parts >= sum.checkpoints {
		t.Errorf("%d checkpoints left %d parts: nothing was merged", sum.checkpoints, parts)
	}
}

// lifeFigures are what a process that writes says of itself.
type lifeFigures struct{ checkpoints, replayed int }

// storeLife lets a process write until it is killed, some time after its first acknowledgement.
func storeLife(t *testing.T, dir string, at time.Time, all []*sender, life time.Duration) lifeFigures {
	t.Helper()
	from := []string{fmt.Sprint(at.UnixNano())}
	for _, one := range all {
		from = append(from, fmt.Sprint(one.next))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill9Store$")
	cmd.Env = append(os.Environ(), killedDir+"="+dir, killedFrom+"="+strings.Join(from, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var fig lifeFigures
	var end *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() { // what it said before it was killed is still read
		var i int
		var number uint64
		if n, _ := fmt.Sscanf(lines.Text(), "acked %d %d", &i, &number); n == 2 {
			r := storeRequest(at, number)
			all[i].acked, all[i].next = append(all[i].acked, r), number+1
			if end == nil {
				end = time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
			}
			continue
		}
		var now lifeFigures
		if n, _ := fmt.Sscanf(lines.Text(), "figures %d %d", &now.checkpoints, &now.replayed); n == 2 {
			fig = now
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	return fig
}

// storeRequest is what a number stands for.
func storeRequest(at time.Time, number uint64) request {
	return request{number: number, spans: 5, system: words("the rules of the team", 800), prompt: words("a question", 600), own: 900, at: at}
}

// rows are the request's spans as the store takes them.
func (r request) rows() []store.Row {
	rows := make([]store.Row, r.spans)
	for i := range rows {
		trace, span := traceID(r.number).String(), fmt.Sprintf("%016x", i+1)
		row := store.Row{Kind: store.KindSpan, ID: trace + "." + span, Time: r.at.UnixNano() + int64(i)}
		row.Add(store.FieldTraceID, store.String(trace))
		row.Add(store.FieldSpanID, store.String(span))
		row.Add(store.FieldService, store.String("faulty"))
		row.Add("attr."+attrInput, store.String(r.input()))
		row.Add("attr."+attrOutput, store.String(r.output(i)))
		rows[i] = row
	}
	return rows
}

// writeUntilKilled writes requests from several goroutines, one in seven of them twice, and says what was acknowledged.
func writeUntilKilled(t *testing.T, dir, from string) {
	var at int64
	var next [senders]uint64
	if _, err := fmt.Sscan(from, &at, &next[0], &next[1], &next[2], &next[3]); err != nil {
		t.Fatal(err)
	}
	db, err := eventdb.Open(dir, storeConfig())
	if err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for i, number := range next {
		wg.Go(func() {
			for ; ; number++ {
				rows := storeRequest(time.Unix(0, at), number).rows()
				for range 1 + (number%7)/6 {
					if _, err := db.Write(context.Background(), signal.DefaultProject, rows); err != nil {
						t.Error(err)
						return
					}
				}
				l := db.Log()
				out.Lock()
				fmt.Printf("acked %d %d\nfigures %d %d\n", i, number, l.Checkpoints, l.ReplayedRecords)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// fullFiles counts the files of the log behind which another one was begun.
func fullFiles(t *testing.T, dir string) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "wal", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil {
			t.Fatal(err)
		} else if info.Size() >= storeConfig().SegmentBytes {
			n++
		}
	}
	return n
}

// partsIn counts the files' folders that the engine has for spans.
func partsIn(t *testing.T, dir string) int {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "events", "partitions", "*", "datadb", "*", "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(parts)
}
