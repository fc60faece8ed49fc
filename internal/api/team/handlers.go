package team

import (
	"context"
	"fmt"
	"time"

	query "github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

type tasksInput struct {
	ProjectInput
	PageInput
	Team         string    `query:"team"`
	Type         string    `query:"type"`
	Status       string    `query:"status" enum:"running,completed,failed,cancelled,lost"`
	Failed       bool      `query:"failed" doc:"Only what failed or was lost."`
	Agent        string    `query:"agent"`
	Model        string    `query:"model"`
	Conversation string    `query:"conversation"`
	User         string    `query:"user"`
	Prefix       string    `query:"prefix" doc:"Beginning of the task's id."`
	Since        time.Time `query:"since" doc:"Tasks that began at this time or later (RFC 3339)."`
	Until        time.Time `query:"until" doc:"Tasks that began before this time (RFC 3339)."`
	MinDuration  string    `query:"min_duration" doc:"Tasks that took as long or longer, e.g. 2m30s."`
}

type tasksOutput struct {
	Body struct {
		Tasks   []Task `json:"tasks"`
		Next    string `json:"next,omitempty" doc:"Give it as 'page' for the next page."`
		Partial bool   `json:"partial,omitempty" doc:"A part of the store did not answer."`
	}
}

func (a *API) tasks(ctx context.Context, in *tasksInput) (*tasksOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	var minDuration time.Duration
	if in.MinDuration != "" {
		if minDuration, err = time.ParseDuration(in.MinDuration); err != nil {
			return nil, signal.Permanent(fmt.Errorf("min_duration %q: use a duration like 2m30s", in.MinDuration))
		}
	}
	page, err := a.questions.Tasks(ctx, project, query.TaskQuery{
		Team: in.Team, Type: in.Type, Status: in.Status, Failed: in.Failed, Agent: in.Agent, Model: in.Model,
		Conversation: in.Conversation, User: in.User, Prefix: in.Prefix, Since: in.Since, Until: in.Until,
		MinDuration: minDuration, Limit: in.Limit, Page: in.Page,
	})
	if err != nil {
		return nil, err
	}
	out := &tasksOutput{}
	out.Body.Tasks = make([]Task, 0, len(page.Tasks))
	for _, t := range page.Tasks {
		out.Body.Tasks = append(out.Body.Tasks, wireTask(t))
	}
	out.Body.Next, out.Body.Partial = page.Next, page.Partial
	return out, nil
}

// TaskInput names a task.
type TaskInput struct {
	ProjectInput
	ID   string `path:"id" doc:"The task's id, or a trace's; escape '/' as %2F."`
	Team string `query:"team" doc:"Needed when several teams have a task of this id."`
}

type taskOutput struct {
	Body struct {
		Task
		Tree          []*Node `json:"tree"`
		OtherLogLines int     `json:"other_log_lines,omitempty" doc:"Log records written in no span of the tree."`
		Partial       bool    `json:"partial,omitempty" doc:"A part of the store did not answer."`
	}
}

func (a *API) task(ctx context.Context, in *TaskInput) (*taskOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	d, err := a.questions.Task(ctx, project, in.Team, in.ID)
	if err != nil {
		return nil, err
	}
	out := &taskOutput{}
	out.Body.Task = wireTask(d.Summary)
	out.Body.OtherLogLines, out.Body.Partial = d.OtherLogLines, d.Partial
	out.Body.Tree = []*Node{}
	for _, n := range d.Tree {
		out.Body.Tree = append(out.Body.Tree, wireNode(n))
	}
	return out, nil
}

type taskLogsInput struct {
	TaskInput
	PageInput
}

type logsOutput struct {
	Body struct {
		Logs    []Row  `json:"logs"`
		Next    string `json:"next,omitempty"`
		Partial bool   `json:"partial,omitempty"`
	}
}

func (a *API) logs(ctx context.Context, in *taskLogsInput) (*logsOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	page, err := a.questions.TaskLogs(ctx, project, in.Team, in.ID, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &logsOutput{}
	out.Body.Logs = make([]Row, 0, len(page.Rows))
	for _, r := range page.Rows {
		out.Body.Logs = append(out.Body.Logs, wireRow(r))
	}
	out.Body.Next, out.Body.Partial = page.Next, page.Partial
	return out, nil
}

type traceInput struct {
	ProjectInput
	PageInput
	ID string `path:"id" doc:"The trace's id, 32 hex digits, or a task's: then the spans of all its traces."`
}

type traceOutput struct {
	Body struct {
		Spans   []Span `json:"spans"`
		Next    string `json:"next,omitempty"`
		Partial bool   `json:"partial,omitempty"`
	}
}

func (a *API) trace(ctx context.Context, in *traceInput) (*traceOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	page, err := a.questions.Trace(ctx, project, in.ID, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &traceOutput{}
	out.Body.Spans = make([]Span, 0, len(page.Rows))
	for _, r := range page.Rows {
		out.Body.Spans = append(out.Body.Spans, Span{r.Text(store.FieldTraceID), r.Text(store.FieldSpanID), wireRow(r)})
	}
	out.Body.Next, out.Body.Partial = page.Next, page.Partial
	return out, nil
}

type payloadInput struct {
	ProjectInput
	Hash string `path:"hash" doc:"128 bits as 32 hex digits."`
}

type payloadOutput struct {
	ContentType string `header:"Content-Type"`
	// Telemetry is shown, never run: a browser must not guess that a prompt is a page.
	NoSniff string `header:"X-Content-Type-Options"`
	Body    []byte
}

func (a *API) payload(ctx context.Context, in *payloadInput) (*payloadOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	p, err := a.questions.Payload(ctx, project, in.Hash)
	if err != nil {
		return nil, err
	}
	return &payloadOutput{ContentType: p.MediaType, NoSniff: "nosniff", Body: []byte(p.Body)}, nil
}

type partiesInput struct {
	ProjectInput
	PageInput
	Since time.Time `query:"since" doc:"Count from this time on (RFC 3339)."`
}

type conversationsOutput struct {
	Body struct {
		Conversations []Party `json:"conversations"`
		Next          string  `json:"next,omitempty"`
		Cut           bool    `json:"cut,omitempty" doc:"There are more spans than are looked at; the tokens are those of the first ones."`
	}
}

func (a *API) conversations(ctx context.Context, in *partiesInput) (*conversationsOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	page, err := a.questions.Conversations(ctx, project, in.Since, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &conversationsOutput{}
	out.Body.Conversations, out.Body.Next, out.Body.Cut = wireParties(page.Parties), page.Next, page.Cut
	return out, nil
}

type usersOutput struct {
	Body struct {
		Users []Party `json:"users"`
		Next  string  `json:"next,omitempty"`
		Cut   bool    `json:"cut,omitempty" doc:"There are more spans than are looked at; the tokens are those of the first ones."`
	}
}

func (a *API) users(ctx context.Context, in *partiesInput) (*usersOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	page, err := a.questions.Users(ctx, project, in.Since, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &usersOutput{}
	out.Body.Users, out.Body.Next, out.Body.Cut = wireParties(page.Parties), page.Next, page.Cut
	return out, nil
}

func wireParties(ps []query.Party) []Party {
	out := make([]Party, 0, len(ps))
	for _, p := range ps {
		out = append(out, Party{ID: p.ID, Tasks: p.Tasks, Spans: p.Spans, Tokens: wireTokens(p.Tokens)})
	}
	return out
}
