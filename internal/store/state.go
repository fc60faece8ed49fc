package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// StateWriter writes the state of a StatefulObserver as one JSON object, field by field and lists element by element: a state has
// hundreds of thousands of elements after minutes at full speed, and is saved four times a minute. Its methods do nothing after
// the first error, which End returns. It is for one goroutine.
type StateWriter struct {
	w       *bufio.Writer
	encoder *json.Encoder
	before  string
	err     error
}

// NewStateWriter returns a StateWriter that writes to w.
func NewStateWriter(w io.Writer) *StateWriter {
	b := bufio.NewWriter(w)
	return &StateWriter{w: b, encoder: json.NewEncoder(b), before: "{"}
}

// Field writes a field as encoding/json does.
func (s *StateWriter) Field(name string, value any) {
	s.begin(name)
	s.value(value)
}

// StateList writes a field that is a list.
func StateList[T any](s *StateWriter, name string, elements iter.Seq[T]) {
	s.begin(name)
	before := "["
	for e := range elements {
		s.text(before)
		s.value(e)
		before = ","
	}
	if before == "[" {
		s.text(before)
	}
	s.text("]")
}

// Raw writes a field whose JSON write writes; null when it writes nothing.
func (s *StateWriter) Raw(name string, write func(io.Writer) error) {
	s.begin(name)
	if s.err != nil {
		return
	}
	c := &counted{w: s.w}
	if s.err = write(c); s.err == nil && c.n == 0 {
		s.text("null")
	}
}

// End ends the object.
func (s *StateWriter) End() error {
	if s.before == "{" {
		s.text("{")
	}
	s.text("}")
	if s.err == nil {
		s.err = s.w.Flush()
	}
	if s.err != nil {
		return fmt.Errorf("write state: %w", s.err)
	}
	return nil
}

func (s *StateWriter) begin(name string) {
	s.text(s.before)
	s.value(name)
	s.text(":")
	s.before = ","
}

func (s *StateWriter) text(text string) {
	if s.err == nil {
		_, s.err = s.w.WriteString(text)
	}
}

func (s *StateWriter) value(v any) {
	if s.err == nil {
		s.err = s.encoder.Encode(v)
	}
}

// counted counts what is written to w.
type counted struct {
	w io.Writer
	n int
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += n
	return n, err
}
