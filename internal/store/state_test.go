package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStateIsOneObject(t *testing.T) {
	var out bytes.Buffer
	s := NewStateWriter(&out)
	s.Field("version", 1)
	s.Field(`na"me`, map[string]any{"a": []int{1}})
	StateList(s, "none", slices.Values([]string(nil)))
	StateList(s, "some", slices.Values([]string{"x", "ü\xff"}))
	s.Raw("inner", func(w io.Writer) error { _, err := io.WriteString(w, `{"b":2}`); return err })
	s.Raw("nothing", func(io.Writer) error { return nil })
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, `na"me`: map[string]any{"a": []any{1.0}}, "none": []any{}, "some": []any{"x", "ü\ufffd"},
		"inner": map[string]any{"b": 2.0}, "nothing": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := NewStateWriter(&out).End(); err != nil || out.String() != "{}" {
		t.Errorf("nothing: %q, %v", out.String(), err)
	}
}

// fails takes some bytes and then no more.
type fails struct{ room int }

var errFull = errors.New("full")

func (f *fails) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestStateWriterTellsOfErrors(t *testing.T) {
	long := maps.Keys(map[string]bool{strings.Repeat("x", 1<<16): true})
	for what, write := range map[string]func(*StateWriter){
		"element":  func(s *StateWriter) { StateList(s, "list", long) },
		"no JSON":  func(s *StateWriter) { s.Field("f", func() {}) },
		"raw part": func(s *StateWriter) { s.Raw("r", func(io.Writer) error { return errFull }) },
	} {
		s := NewStateWriter(&fails{room: 1 << 10})
		write(s)
		s.Field("after", 1)
		s.Raw("after it", func(io.Writer) error { t.Errorf("%s: written after an error", what); return nil })
		if s.End() == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
