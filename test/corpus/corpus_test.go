package corpus

import (
	"errors"
	"os"
	"testing"
)

// TestConvert checks that every recording becomes as many spans and traces as its facts say.
func TestConvert(t *testing.T) {
	root, err := Root()
	if errors.Is(err, ErrAbsent) {
		t.Log(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	recs, err := Recordings(root)
	if err != nil {
		t.Fatal(err)
	}
	if own := os.Getenv("MINDSCOPE_SAMPLES") == ""; len(recs) == 0 || own && len(recs) < 40 {
		t.Errorf("%d recordings in FACTS.json", len(recs))
	}
	for _, r := range recs {
		raw, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		d, err := Convert(r.Facts.Format, raw)
		if errors.Is(err, ErrContainer) {
			t.Log(r.Path, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", r.Path, err)
			continue
		}
		if got := d.Traces.SpanCount(); got != r.Facts.Spans {
			t.Errorf("%s: %d spans, want %d", r.Path, got, r.Facts.Spans)
		}
		traces, failed := map[string]bool{}, 0
		for _, rs := range d.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					traces[s.TraceID().String()] = true
					if s.Status().Code() == 2 {
						failed++
					}
				}
			}
		}
		if len(traces) != r.Facts.Traces || failed != len(r.Facts.Errors) {
			t.Errorf("%s: %d traces, %d errors, want %d, %v", r.Path, len(traces), failed, r.Facts.Traces, r.Facts.Errors)
		}
	}
}
