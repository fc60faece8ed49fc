package team

import (
	"context"
	"time"

	query "github.com/mindscope/mindscope/internal/query/team"
)

// Lineage is where an artifact or record came from, and what used it later.
type Lineage struct {
	Of      string   `json:"of"`
	Origins []Origin `json:"origins" doc:"The times it was made, oldest first."`
	Uses    []Use    `json:"uses" doc:"The times it was loaded or read, oldest first."`
	Cut     bool     `json:"cut,omitempty" doc:"There is more than is looked at."`
	Partial bool     `json:"partial,omitempty" doc:"A part of the store did not answer."`
}

// Doing is whose work something was.
type Doing struct {
	Task        string    `json:"task"`
	Team        string    `json:"team"`
	TaskType    string    `json:"task_type,omitempty"`
	Provisional bool      `json:"provisional,omitempty" doc:"The sender named no task; task is the trace."`
	Agent       string    `json:"agent,omitempty"`
	TraceID     string    `json:"trace_id"`
	SpanID      string    `json:"span_id"`
	Time        time.Time `json:"time"`
}

// Thing is an artifact or a record.
type Thing struct {
	Artifact *Artifact `json:"artifact,omitempty"`
	Table    string    `json:"record_table,omitempty"`
	ID       string    `json:"record_id,omitempty"`
}

// Origin is one making of an artifact or record.
type Origin struct {
	Doing
	Thing
	Calls    []OriginCall `json:"calls" doc:"Calls of models in the agent's work that went before: what it was made of. What was said in one: /traces/{trace_id}/spans/{span_id}/messages."`
	Tokens   Tokens       `json:"tokens"`
	USD      string       `json:"usd,omitempty" doc:"What these calls cost."`
	Unpriced int          `json:"unpriced_calls,omitempty"`
	From     []Thing      `json:"from" doc:"What the agent loaded or read before, in the same work."`
}

// OriginCall is a call of a model.
type OriginCall struct {
	Model   string `json:"model,omitempty"`
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	Tokens  Tokens `json:"tokens"`
	USD     string `json:"usd,omitempty"`
}

// Use is one loading or reading.
type Use struct {
	Doing
	Thing
	Made []Thing `json:"made" doc:"What the agent made in the same work afterwards."`
}

type lineageInput struct {
	ProjectInput
	Of string `query:"of" required:"true" minLength:"1" maxLength:"4096" doc:"A key, digest, URI or id of an artifact; or the id of a record, also as TABLE/ID."`
}

type lineageOutput struct{ Body Lineage }

func (a *API) lineage(ctx context.Context, in *lineageInput) (*lineageOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	l, err := a.questions.Whence(ctx, project, in.Of)
	if err != nil {
		return nil, err
	}
	return &lineageOutput{wireLineage(&l)}, nil
}

func wireLineage(l *query.Lineage) Lineage {
	out := Lineage{Of: l.Of, Origins: []Origin{}, Uses: []Use{}, Cut: l.Cut, Partial: l.Partial}
	for i := range l.Origins {
		o := &l.Origins[i]
		origin := Origin{
			Doing: wireDoing(o.Doing), Thing: wireThing(o.Thing), Calls: []OriginCall{}, Tokens: wireTokens(o.Tokens),
			Unpriced: o.Unpriced, From: wireThings(o.From),
		}
		if o.Cost != 0 {
			origin.USD = o.Cost.String()
		}
		for _, c := range o.Calls {
			call := OriginCall{Model: c.Model, TraceID: c.TraceID, SpanID: c.SpanID, Tokens: wireTokens(c.Tokens)}
			if c.HasCost {
				call.USD = c.Cost.String()
			}
			origin.Calls = append(origin.Calls, call)
		}
		out.Origins = append(out.Origins, origin)
	}
	for i := range l.Uses {
		u := &l.Uses[i]
		out.Uses = append(out.Uses, Use{Doing: wireDoing(u.Doing), Thing: wireThing(u.Thing), Made: wireThings(u.Made)})
	}
	return out
}

func wireDoing(w query.Doing) Doing {
	return Doing{
		Task: w.Task, Team: w.Team, TaskType: w.TaskType, Provisional: w.Provisional, Agent: w.Agent,
		TraceID: w.TraceID, SpanID: w.SpanID, Time: timeOf(w.Time),
	}
}

func wireThing(t query.Thing) Thing {
	out := Thing{Table: t.Table, ID: t.ID}
	if t.Artifact != nil {
		a := Artifact(*t.Artifact)
		out.Artifact = &a
	}
	return out
}

func wireThings(ts []query.Thing) []Thing {
	out := make([]Thing, 0, len(ts))
	for _, t := range ts {
		out = append(out, wireThing(t))
	}
	return out
}
