package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/app"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/bench/fill"
)

// readRounds is how often each store is opened and asked, in turn: one alone tells more of the machine than of the store.
const readRounds = 5

// reads builds a store of a tenth and a large one and asks both the same questions. A figure is the median of the rounds.
func reads(ctx context.Context, dir string, s size, r report) error {
	plans := []struct {
		name string
		fill.Plan
	}{
		{"tenth", fill.Plan{Dir: filepath.Join(dir, "tenth"), Spans: s.Spans / 10}},
		{"whole", fill.Plan{Dir: filepath.Join(dir, "whole"), Spans: s.Spans}},
	}
	for _, p := range plans {
		begin := time.Now()
		if err := child1(ctx, "build", p.Plan, nil); err != nil {
			return err
		}
		r.set(p.name+"_spans", float64(p.Spans+fill.WideSpans))
		r.set(p.name+"_build_s", time.Since(begin).Seconds())
		disk, err := diskOf(p.Dir)
		if err != nil {
			return err
		}
		r.set(p.name+"_disk_mb", float64(disk)/1e6)
	}
	took := map[string][]float64{}
	for range readRounds {
		for _, p := range plans {
			var answers map[string]timing
			if err := child1(ctx, "read", p.Plan, &answers); err != nil {
				return err
			}
			for question, t := range answers {
				name := p.name + "_" + question
				took[name+"_p50_ms"] = append(took[name+"_p50_ms"], t.P50)
				took[name+"_p99_ms"] = append(took[name+"_p99_ms"], t.P99)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(took)) {
		r.set(name, median(took[name]))
	}
	r.set("growth_trace_by_id", median(took["whole_trace_by_id_cold_p50_ms"])/median(took["tenth_trace_by_id_cold_p50_ms"]))
	return nil
}

// child1 runs a child that needs no input and reads what it says.
func child1(ctx context.Context, role string, arg, answer any) error {
	text, err := json.Marshal(arg)
	if err != nil {
		return err
	}
	c, err := startChild(ctx, role, string(text))
	if err != nil {
		return err
	}
	var ignored any
	if answer == nil {
		answer = &ignored
	}
	return c.end(answer)
}

// playPlan is the main function of children with a plan.
func playPlan(role, arg string) error {
	var p fill.Plan
	if err := json.Unmarshal([]byte(arg), &p); err != nil {
		return err
	}
	fmt.Println("ready")
	if role == "build" {
		if err := os.MkdirAll(p.Dir, 0o755); err != nil {
			return err
		}
		if err := p.Build(context.Background()); err != nil {
			return err
		}
		fmt.Println("{}")
		return nil
	}
	debug.SetGCPercent(app.GarbagePercent) // as the server does
	debug.SetMemoryLimit(app.MemoryLimit)
	answers, err := ask(context.Background(), p)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// patience bounds how long one question is asked again and again.
const patience = 30 * time.Second

// timing is how long a question took, in milliseconds.
type timing struct{ P50, P99 float64 }

func timingOf(took []time.Duration) timing {
	slices.Sort(took)
	at := func(phi float64) float64 {
		return took[min(len(took)-1, int(phi*float64(len(took))))].Seconds() * 1000
	}
	return timing{at(0.5), at(0.99)}
}

// ask opens a built store whose files are not in memory and asks.
func ask(ctx context.Context, p fill.Plan) (_ map[string]timing, err error) {
	notes, err := p.Samples()
	if err != nil {
		return nil, err
	}
	if err := fill.ForgetFiles(p.Dir); err != nil {
		return nil, err
	}
	db, err := eventdb.Open(p.Store(), eventdb.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a := &asker{ctx: ctx, db: db, questions: team.New(db, team.Options{}), notes: notes}
	out := map[string]timing{}
	for _, q := range []struct {
		name  string
		times int
		ask   func(i int) error
	}{
		{"trace_by_id_cold", len(notes), a.trace},
		{"latest_50_tasks", 20, a.latest},
		{"agent_and_duration", 20, a.slowCalls},
		{"phrase_in_prompts", 20, a.phrase},
		{"cost_by_model", 5, a.costs},
		{"first_screen_of_30k", 10, a.wide},
	} {
		took := make([]time.Duration, 0, q.times)
		for i, first := 0, time.Now(); i < q.times && time.Since(first) < patience; i++ {
			begin := time.Now()
			if err := q.ask(i); err != nil {
				return nil, fmt.Errorf("ask %s: %w", q.name, err)
			}
			took = append(took, time.Since(begin))
		}
		out[q.name] = timingOf(took)
	}
	return out, nil
}

// asker asks a store and looks at the answers.
type asker struct {
	ctx       context.Context
	db        *eventdb.DB
	questions *team.Questions
	notes     []fill.Sample
}

// trace reads all spans of a trace that nobody asked for, with all their content.
func (a *asker) trace(i int) error {
	page, err := a.questions.Trace(a.ctx, signal.DefaultProject, a.notes[i].TraceID, "", 500)
	if err != nil {
		return err
	}
	if len(page.Rows) != 21 {
		return fmt.Errorf("%d spans", len(page.Rows))
	}
	for _, r := range page.Rows {
		if r.Has("attr.gen_ai.request.model") && !strings.HasSuffix(r.Text("attr.gen_ai.input.messages"), "]") {
			return errors.New("a prompt is missing")
		}
	}
	return nil
}

func (a *asker) latest(int) error {
	page, err := a.questions.Tasks(a.ctx, signal.DefaultProject, team.TaskQuery{Limit: 50})
	if err == nil && len(page.Tasks) != 50 {
		err = fmt.Errorf("%d tasks", len(page.Tasks))
	}
	return err
}

// slowCalls reads the 50 newest spans of an agent that took longer than most.
func (a *asker) slowCalls(int) error {
	return a.count(50, store.Select{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.And{
			store.Eq(store.FieldAgent, "writer"),
			store.Compare{Field: store.FieldDuration, Op: store.OpGt, Value: store.Int(int64(2900 * time.Millisecond))},
		}},
		Fields: []string{store.FieldTraceID, store.FieldName, store.FieldDuration}, Order: store.NewestFirst, Limit: 50,
	})
}

// phrase finds the calls of one task by words of its prompts.
func (a *asker) phrase(i int) error {
	return a.count(8, store.Select{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Text{
			Field: "attr.gen_ai.input.messages", Words: a.notes[i*7%len(a.notes)].Phrase, Phrase: true,
		}},
		Fields: []string{store.FieldTraceID, store.FieldName}, Order: store.NewestFirst, Limit: 50,
	})
}

func (a *asker) count(want int, q store.Select) error {
	n := 0
	for _, err := range a.db.Select(a.ctx, signal.DefaultProject, q) {
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d rows, want %d", n, want)
	}
	return nil
}

func (a *asker) costs(int) error {
	groups, err := a.db.Aggregate(a.ctx, signal.DefaultProject, store.Aggregate{
		Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldOperation, "chat")},
		By:    []string{store.FieldModel},
		Columns: []store.Column{
			{Func: store.CountRows},
			{Func: store.Sum, Field: store.FieldTokensInput},
			{Func: store.Sum, Field: store.FieldTokensOutput},
			{Func: store.Sum, Field: store.FieldCostMicro},
			{Func: store.Sum, Field: store.FieldCostRest},
		},
	})
	if err == nil && len(groups) != 3 {
		err = fmt.Errorf("%d models", len(groups))
	}
	return err
}

func (a *asker) wide(int) error {
	page, err := a.questions.Trace(a.ctx, signal.DefaultProject, "fd"+strings.Repeat("0", 28)+"01", "", 200)
	if err == nil && (len(page.Rows) != 200 || page.Next == "") {
		err = errors.New(strconv.Itoa(len(page.Rows)) + " spans on the first page")
	}
	return err
}
