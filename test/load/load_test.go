package load

import (
	"bytes"
	"compress/flate"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestTasksAreTheSameForOneSeed(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	for _, w := range []Workload{Article, Loop} {
		bodies := func(seed uint64) []byte {
			g, err := New(w, seed)
			if err != nil {
				t.Fatal(err)
			}
			var all []byte
			for range 2 {
				reqs, err := g.Requests(at)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, bytes.Join(reqs, nil)...)
			}
			return all
		}
		one, two, other := bodies(1), bodies(1), bodies(2)
		if !bytes.Equal(one, two) {
			t.Errorf("%s: two generators of a seed differ", w)
		}
		if bytes.Equal(one, other) {
			t.Errorf("%s: generators of different seeds are equal", w)
		}
	}
	if _, err := New("news", 1); err == nil {
		t.Error("an unknown workload was accepted")
	}
}

func TestShapes(t *testing.T) {
	f := func(w Workload, wantSpans, wantCalls, minBytes, maxBytes int) {
		t.Helper()
		g, err := New(w, 7)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			td := g.Task(time.Unix(1_700_000_000, 0))
			calls, ids := 0, map[string]bool{}
			spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			for _, s := range spans.All() {
				if s.Kind() == ptrace.SpanKindClient && s.Attributes().Len() > 10 {
					calls++
				}
				ids[s.SpanID().String()] = true
				if s.EndTimestamp() <= s.StartTimestamp() {
					t.Errorf("%s: span %q ends before it starts", w, s.Name())
				}
			}
			body, err := marshal(td)
			if err != nil {
				t.Fatal(err)
			}
			if spans.Len() != wantSpans || len(ids) != wantSpans || calls != wantCalls || len(body) < minBytes || len(body) > maxBytes {
				t.Errorf("%s: %d spans, %d ids, %d calls, %d bytes", w, spans.Len(), len(ids), calls, len(body))
			}
		}
	}
	f(Article, 21, 8, 40_000, 80_000)
	f(Loop, 2+60+59, 60, 5_000_000, 9_000_000)
}

// TestTextIsLikeWriting keeps the texts from becoming easier to pack than what people write, and from repeating.
func TestTextIsLikeWriting(t *testing.T) {
	f := func(name, text string, least, most float64) {
		t.Helper()
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if ratio := float64(len(text)) / float64(b.Len()); ratio < least || ratio > most {
			t.Errorf("%s packs %.2f to 1, want %.1f to %.1f", name, ratio, least, most)
		}
	}
	p := newProse(3)
	f("prose", p.text(200_000), 2, 3.2)
	f("code", p.code(200_000), 2, 4.2)
}
