package app

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// noted is an observer whose state is a JSON text.
type noted struct {
	state string
	fails error
}

func (*noted) Committed(signal.Project, []store.Row) {}

func (n *noted) Save(w io.Writer) error {
	_, err := io.WriteString(w, n.state)
	return errors.Join(err, n.fails)
}

func (n *noted) Load(state []byte) error {
	n.state = string(bytes.TrimSpace(state))
	return n.fails
}

func TestStatesOfObservers(t *testing.T) {
	var saved bytes.Buffer
	all := observers{{"a", &noted{state: `{"n":1}`}}, {"none", &noted{}}, {"gone", &noted{state: "[2]"}}}
	if err := all.Save(&saved); err != nil {
		t.Fatal(err)
	}
	f := func(from, wantA string) {
		t.Helper()
		a, none, later := &noted{}, &noted{}, &noted{state: "begins anew"}
		if err := (observers{{"a", a}, {"none", none}, {"later", later}}).Load([]byte(from)); err != nil {
			t.Fatal(err)
		}
		if a.state != wantA || later.state != "begins anew" {
			t.Errorf("a %q, later %q", a.state, later.state)
		}
	}
	f(saved.String(), `{"n":1}`)
	f(`{"a":"eyJuIjoxfQ==","none":null}`, `{"n":1}`) // as the first release wrote it
	bad := observers{{"a", &noted{state: "1", fails: errors.New("no")}}}
	if err := bad.Save(io.Discard); err == nil || !strings.Contains(err.Error(), "save a: no") {
		t.Error(err)
	}
	if err := bad.Load([]byte(`{"a":"="}`)); err == nil {
		t.Error("no error for what is no base64")
	}
}

// forgets is an observer that is told of deletions.
type forgets struct {
	noted
	told []string
}

func (f *forgets) Deleted(_ signal.Project, rows []store.Row) {
	f.told = append(f.told, "deleted "+rows[0].ID)
}

func (f *forgets) Rewritten(_ signal.Project, rows []store.Row) {
	f.told = append(f.told, "rewritten "+rows[0].ID)
}

func TestObserversAreToldOfDeletions(t *testing.T) {
	one := &forgets{}
	all := observers{{"a", &noted{}}, {"b", one}}
	all.Deleted("default", []store.Row{{ID: "1"}})
	all.Rewritten("default", []store.Row{{ID: "2"}})
	if diff := cmp.Diff([]string{"deleted 1", "rewritten 2"}, one.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
