package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/derive/due"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// picky accounts for all tasks but some, and notes what it was asked.
type picky struct {
	bad   string
	err   error
	asked [][]string
}

func (p *picky) Audit(_ context.Context, _ signal.Project, _ string, ids []string) (findings, joins int, err error) {
	p.asked = append(p.asked, ids)
	if slices.Contains(ids, p.bad) {
		return 0, 0, p.err
	}
	return 0, 0, nil
}

var errBad = errors.New("this task can't be read")

// TestOneTaskStopsNoOther: one that can't be accounted for is put off, and the others are done.
func TestOneTaskStopsNoOther(t *testing.T) {
	f := func(name string, fail error, wantDone, wantLeft int, wantAsked ...[]string) {
		t.Helper()
		now := time.Unix(1e9, 0)
		a := &App{due: due.New(due.Config{Clock: func() time.Time { return now }})}
		for i := range 3 {
			r := store.Row{Kind: store.KindSpan, ID: fmt.Sprint(i)}
			r.Add(store.FieldTaskID, store.String(fmt.Sprint("task-", i)))
			r.Add(store.FieldOperation, store.String("invoke_workflow"))
			a.due.Committed("default", []store.Row{r})
		}
		now = now.Add(time.Minute)
		to := &picky{bad: "task-1", err: fail}
		done, err := a.audit(t.Context(), to)
		if done != wantDone || !errors.Is(err, fail) {
			t.Errorf("%s: %d done, %v", name, done, err)
		}
		if d := cmp.Diff(wantAsked, to.asked); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		left, dropped := a.due.Count()
		if dueNow := a.due.Due(10); left != wantLeft || dropped != 0 || len(dueNow) != 0 {
			t.Errorf("%s: %d are left, %d dropped, %v are due", name, left, dropped, dueNow)
		}
		now = now.Add(time.Minute)
		if n := len(a.due.Due(10)); n != wantLeft {
			t.Errorf("%s: %d are due a minute later", name, n)
		}
	}
	all := []string{"task-0", "task-1", "task-2"}
	f("fine", nil, 3, 0, all)
	f("one is bad", errBad, 2, 1, all, all[:1], all[1:2], all[2:])
	f("a node is away", fmt.Errorf("ask: %w", store.ErrPartial), 0, 3, all)
}
