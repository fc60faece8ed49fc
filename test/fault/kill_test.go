package fault

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// TestKill9 kills the server at random moments under load, many times on one folder. A sender sends again what was not
// acknowledged, as OpenTelemetry's do. In the end nothing acknowledged is missing, and nothing is there twice.
func TestKill9(t *testing.T) {
	f := func(name string, rounds, senders, spans, prompt int) {
		t.Run(name, func(t *testing.T) { killRounds(t, name, rounds, senders, spans, strings.Repeat("x y ", prompt/4)) })
	}
	if full() {
		f("small", 50, 4, 5, 0)
		f("large", 50, 4, 200, 2000)
		return
	}
	f("small", 10, 4, 5, 0)
	f("large", 10, 4, 200, 2000)
}

// sender sends requests of its own numbers, each until it is acknowledged.
type sender struct {
	next  uint64
	acked []request
}

func killRounds(t *testing.T, name string, rounds, senders, spans int, prompt string) {
	dir := t.TempDir()
	all := make([]*sender, senders)
	for i := range all {
		all[i] = &sender{next: uint64(i) << 32}
	}
	var replayed float64
	at := time.Now()
	for range rounds {
		s := harness.Start(t, harness.Options{Data: dir, Args: []string{"--no-metrics.enabled"}})
		replayed += s.Metric(t, "mindscope_wal_replayed_records_total ")
		var wg sync.WaitGroup
		for _, one := range all {
			wg.Go(func() { one.run(t, s.OTLPHTTP, spans, prompt, at) })
		}
		time.Sleep(time.Duration(30+rand.IntN(600)) * time.Millisecond) // the random moment
		s.Kill(t)
		wg.Wait()
	}
	var acked []request
	for _, one := range all {
		acked = append(acked, one.acked...)
	}
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
	missing, doubled := missingAndDoubled(acked, stored(t, open(t, dir)))
	if missing != 0 || doubled != 0 {
		t.Errorf("%d acknowledged spans are missing, %d are doubled", missing, doubled)
	}
	if len(acked) < rounds {
		t.Errorf("only %d requests were acknowledged in %d rounds", len(acked), rounds)
	}
	figures(t, map[string]float64{
		"kill9_" + name + "_rounds": float64(rounds), "kill9_" + name + "_acked_spans": float64(len(acked) * spans),
		"kill9_" + name + "_missing_spans": float64(missing), "kill9_" + name + "_doubled_spans": float64(doubled),
		"kill9_" + name + "_replayed_records": replayed,
	})
}

// run sends until the server is gone. One request in seven is sent twice.
func (s *sender) run(t *testing.T, url string, spans int, prompt string, at time.Time) {
	for {
		r := request{number: s.next, spans: spans, prompt: prompt, at: at}
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
