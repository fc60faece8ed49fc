package team

import (
	"context"

	query "github.com/mindscope/mindscope/internal/query/team"
)

// Ledger is the account of a task's hops.
type Ledger struct {
	ID          string    `json:"id"`
	Team        string    `json:"team"`
	Type        string    `json:"type,omitempty"`
	Status      string    `json:"status" enum:"running,completed,failed,cancelled,lost"`
	Provisional bool      `json:"provisional,omitempty" doc:"The sender named no task; nobody is expected to carry its id."`
	Complete    bool      `json:"complete" doc:"Nothing was found wrong."`
	Open        bool      `json:"open,omitempty" doc:"The task still runs: what is not there yet is not missing."`
	Score       float64   `json:"score" doc:"Percent: the mean of found/expected over the hops of which anything is expected, rounded down to a tenth."`
	Hops        []Account `json:"hops"`
	Findings    []Finding `json:"findings"`
	Traces      []string  `json:"traces"`
	Joined      []Join    `json:"joined" doc:"Traces that name no task and were found to belong to this one."`
	Cut         bool      `json:"cut,omitempty" doc:"The task has more spans than are read."`
	Partial     bool      `json:"partial,omitempty" doc:"A part of the store did not answer."`
}

// Account is what was expected and found on one hop.
type Account struct {
	Hop      string   `json:"hop" enum:"message,llm,record,artifact,log,span"`
	Expected int      `json:"expected"`
	Found    int      `json:"found"`
	Missing  int      `json:"missing"`
	Unknown  []string `json:"unknown" doc:"Agents that took part and never report this hop: of them nothing is expected."`
}

// Finding is one thing that is wrong.
type Finding struct {
	Kind    string `json:"kind" enum:"not_consumed,not_answered,answered_twice,answers_none,no_usage,no_task_id,orphan,missing_root,new_trace,not_ended,clock,cycle"`
	Hop     string `json:"hop" enum:"message,llm,record,artifact,log,span"`
	Agent   string `json:"agent,omitempty" doc:"At whom the id was lost."`
	Count   int    `json:"count" doc:"How many things it is about."`
	Text    string `json:"text" doc:"Where the id was lost, in words."`
	TraceID string `json:"trace_id,omitempty" doc:"Where it is seen first."`
	SpanID  string `json:"span_id,omitempty"`
}

// Join is a trace that was found to belong to a task.
type Join struct {
	TraceID string `json:"trace_id"`
	By      string `json:"by" enum:"message,conversation,link,time" doc:"By what it was found, the surest first: a message's id, a correlation id, a link, the time at which its agent began it."`
}

type auditOutput struct{ Body Ledger }

func (a *API) audit(ctx context.Context, in *TaskInput) (*auditOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	l, err := a.questions.Audit(ctx, project, in.Team, in.ID)
	if err != nil {
		return nil, err
	}
	return &auditOutput{wireLedger(&l)}, nil
}

func wireLedger(l *query.Ledger) Ledger {
	out := Ledger{
		ID: l.ID, Team: l.Team, Type: l.Type, Status: l.Status, Provisional: l.Provisional, Complete: l.Complete(), Open: l.Open,
		Score: l.Score, Hops: []Account{}, Findings: []Finding{}, Traces: append([]string{}, l.Traces...), Joined: []Join{},
		Cut: l.Cut, Partial: l.Partial,
	}
	for _, a := range l.Accounts {
		out.Hops = append(out.Hops, Account{
			Hop: string(a.Hop), Expected: a.Expected, Found: a.Found, Missing: a.Missing(), Unknown: append([]string{}, a.Unknown...),
		})
	}
	for _, f := range l.Findings {
		out.Findings = append(out.Findings, Finding{
			Kind: f.Kind, Hop: string(f.Hop), Agent: f.Agent, Count: f.Count, Text: f.Text, TraceID: f.TraceID, SpanID: f.SpanID,
		})
	}
	for _, j := range l.Joined {
		out.Joined = append(out.Joined, Join{TraceID: j.Trace, By: j.By})
	}
	return out
}
