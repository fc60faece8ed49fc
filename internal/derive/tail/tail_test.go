package tail

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

func row(kind store.Kind, team, body string) store.Row {
	return store.Row{Kind: kind, ID: body, Time: 1, Fields: []store.Field{
		{Name: store.FieldTeam, Value: store.String(team)}, {Name: store.FieldBody, Value: store.String(body)},
	}}
}

// TestFeed: a watcher gets copies of what it asked for, of its project and kind.
func TestFeed(t *testing.T) {
	f := New()
	s, err := f.Subscribe("p", store.KindLog, store.Eq(store.FieldTeam, "press"))
	if err != nil {
		t.Fatal(err)
	}
	rows := []store.Row{row(store.KindLog, "press", "a"), row(store.KindLog, "other", "b"), row(store.KindSpan, "press", "c")}
	f.Committed("q", rows)
	f.Committed("p", rows)
	rows[0].Fields[1].Value = store.String("changed")
	got := <-s.Rows()
	s.Taken(got)
	if got.Text(store.FieldBody) != "a" || len(s.Rows()) != 0 || s.bytes.Load() != 0 {
		t.Errorf("%v, %d more, %d bytes", got, len(s.Rows()), s.bytes.Load())
	}
	rows[0] = row(store.KindLog, "press", "d")
	f.Committed("p", rows)
	s.Close()
	s.Close()
	if n := f.bytes.Load(); n != 0 {
		t.Errorf("%d bytes wait for nobody", n)
	}
	<-s.Rows()
	f.Committed("p", rows)
	if n, _ := f.Watched(); n != 0 || len(s.Rows()) != 0 {
		t.Errorf("%d watch after the end, %d rows", n, len(s.Rows()))
	}
}

// TestSlowReader: who does not take rows loses them and is told how many, by number and by size.
func TestSlowReader(t *testing.T) {
	f := New()
	s, err := f.Subscribe(signal.DefaultProject, store.KindLog, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range queue + 7 {
		f.Committed(signal.DefaultProject, []store.Row{row(store.KindLog, "press", "a")})
	}
	if n := s.Dropped(); n != 7 || s.Dropped() != 0 {
		t.Errorf("%d dropped, want 7, then none", n)
	}
	big, err := f.Subscribe(signal.DefaultProject, store.KindLog, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		f.Committed(signal.DefaultProject, []store.Row{row(store.KindLog, "press", strings.Repeat("x", 1<<20))})
	}
	if len(big.Rows()) != 15 || big.Dropped() != 5 {
		t.Errorf("%d rows of 1 MiB wait", len(big.Rows()))
	}
	if _, dropped := f.Watched(); dropped != 7+20+5 {
		t.Errorf("%d dropped in all", dropped)
	}
}

// TestBounds: no more than so many watch, and a wrong filter is the watcher's mistake.
func TestBounds(t *testing.T) {
	f := New()
	if _, err := f.Subscribe("p", store.KindLog, store.Match{Pattern: "("}); !signal.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	for range MaxSubscriptions {
		if _, err := f.Subscribe("p", store.KindLog, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Subscribe("p", store.KindLog, nil); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v", err)
	}
	f.Close()
	f.Close()
	<-f.Done()
	var state bytes.Buffer
	if err := f.Save(&state); err != nil || state.Len() > 0 || f.Load(nil) != nil {
		t.Error("it keeps no state")
	}
}
