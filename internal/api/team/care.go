package team

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mindscope/mindscope/internal/query/care"
	"github.com/mindscope/mindscope/internal/signal"
)

// Care mounts the routes that remove and hand out data.
func (a *API) Care(c *care.Care) {
	h := careHandlers{c}
	post(a, "delete-rows", "/deletions", "Remove a task, a trace or all of a user", h.remove)
	post(a, "scrub-rows", "/scrubs", "Take out what an expression matches, a leaked secret, in a range of time", h.scrub)
	get(a, "export-rows", "/export", "All of a user, task or trace: a line of OTLP JSON for some spans or log records each", h.export)
}

func post[I, O any](a *API, id, path, summary string, handler func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: Prefix + path, Summary: summary, MaxBodyBytes: 64 << 10,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if errors.Is(err, care.ErrBusy) {
			return nil, huma.Error409Conflict("another removal is running: wait for its end")
		}
		if err != nil {
			return nil, problem(err)
		}
		return out, nil
	})
	a.undescribe(path)
}

// JSONOnly refuses bodies that a foreign page can send without being asked: forms and plain text.
type JSONOnly struct {
	ContentType string `header:"Content-Type" required:"true" enum:"application/json" doc:"application/json"`
}

// TargetInput names what a request is about: one of task, trace and user.
type TargetInput struct {
	Task  string `json:"task,omitempty" query:"task" maxLength:"1024" doc:"A task's id."`
	Team  string `json:"team,omitempty" query:"team" maxLength:"1024" doc:"The task's team, when several have a task of this id."`
	Trace string `json:"trace,omitempty" query:"trace" maxLength:"1024" doc:"A trace's id."`
	User  string `json:"user,omitempty" query:"user" maxLength:"1024" doc:"A user's id: every trace in which the user occurs, with its logs."`
}

func (t TargetInput) target() care.Target {
	return care.Target{Task: t.Task, Team: t.Team, Trace: t.Trace, User: t.User}
}

// Receipt says what a removal did.
type Receipt struct {
	Project string    `json:"project"`
	What    string    `json:"what"`
	DryRun  bool      `json:"dry_run,omitempty" doc:"Nothing was removed: the figures are what would be."`
	At      time.Time `json:"at"`
	TookMs  int64     `json:"took_ms"`
	Rows    []Removed `json:"rows" doc:"What was removed, or rewritten by a scrub."`
	Expired int64     `json:"expired,omitempty" doc:"Rows that a scrub removed instead, since they passed their retention meanwhile."`
	// MayRemain names what the server can't reach.
	MayRemain []string `json:"may_remain" doc:"What may still hold it."`
}

// Removed counts the rows of a kind.
type Removed struct {
	Kind string `json:"kind"`
	Rows int64  `json:"rows"`
}

type receiptOutput struct{ Body Receipt }

func wireReceipt(r *care.Receipt) *receiptOutput {
	out := &receiptOutput{Receipt{
		Project: string(r.Project), What: r.What, DryRun: r.DryRun, At: r.At, TookMs: r.Took.Milliseconds(),
		Rows: []Removed{}, Expired: r.Expired, MayRemain: r.MayRemain,
	}}
	for _, k := range slices.Sorted(maps.Keys(r.Rows)) {
		out.Body.Rows = append(out.Body.Rows, Removed{string(k), r.Rows[k]})
	}
	return out
}

type careHandlers struct{ care *care.Care }

type removeInput struct {
	ProjectInput
	JSONOnly
	Body struct {
		TargetInput
		DryRun bool `json:"dry_run,omitempty" doc:"Only count."`
	}
}

func (h careHandlers) remove(ctx context.Context, in *removeInput) (*receiptOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	r, err := h.care.Delete(ctx, project, in.Body.target(), in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	return wireReceipt(r), nil
}

type scrubInput struct {
	ProjectInput
	JSONOnly
	Body struct {
		Match  string    `json:"match" minLength:"1" maxLength:"4096" doc:"RE2 expression; what it matches becomes [scrubbed]."`
		Since  time.Time `json:"since,omitzero" doc:"Rows of this time or later; default all."`
		Until  time.Time `json:"until,omitzero" doc:"Rows before this time; default all."`
		DryRun bool      `json:"dry_run,omitempty" doc:"Only count."`
	}
}

func (h careHandlers) scrub(ctx context.Context, in *scrubInput) (*receiptOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	at := signal.AllTime()
	if !in.Body.Since.IsZero() {
		at.Start = in.Body.Since.UnixNano()
	}
	if !in.Body.Until.IsZero() {
		at.End = in.Body.Until.UnixNano()
	}
	r, err := h.care.Scrub(ctx, project, care.Scrub{Match: in.Body.Match, Time: at, DryRun: in.Body.DryRun})
	if err != nil {
		return nil, err
	}
	return wireReceipt(r), nil
}

type exportInput struct {
	ProjectInput
	TargetInput
}

// ExportTrailer is the trailer of a stream that came through to its end.
const ExportTrailer = "X-Mindscope-Rows"

// export streams. An error before the first line is a problem as any; one behind it ends the answer without its
// trailer.
func (h careHandlers) export(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	first, rest, wait := pipe(ctx, func(ctx context.Context, w io.Writer) error {
		_, err := h.care.Export(ctx, project, in.target(), w)
		return err
	})
	if first == nil {
		return nil, wait()
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/x-ndjson")
		hc.SetHeader("Content-Disposition", `attachment; filename="export.jsonl"`)
		copyLines(hc, first, rest, wait)
	}}, nil
}
