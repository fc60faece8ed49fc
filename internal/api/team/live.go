package team

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/signal"
)

// RunningTask is a task that runs just now.
type RunningTask struct {
	ID          string    `json:"id"`
	Team        string    `json:"team"`
	Type        string    `json:"type,omitempty"`
	Status      string    `json:"status" enum:"running,lost" doc:"lost: who holds the work missed three heartbeats."`
	Provisional bool      `json:"provisional,omitempty"`
	Since       time.Time `json:"since"`
	LastSign    time.Time `json:"last_sign" doc:"When it last showed that it lives, by the server's clock."`
	Holder      Holder    `json:"holder" doc:"Who holds the work."`
	Spans       int       `json:"spans" doc:"Running spans."`
	Quality     *float64  `json:"quality,omitempty" doc:"The last score."`
	UsualNs     int64     `json:"usual_ns,omitempty" doc:"The 95th percentile of its type's duration; absent when too few have ended."`
	Moved       time.Time `json:"moved" doc:"When the last span of it came, by the server's clock."`
	Stuck       bool      `json:"stuck,omitempty" doc:"It runs for more than three times the usual, and no span of it has come for a minute."`
	PingPong    *PingPong `json:"ping_pong,omitempty" doc:"Two agents hand the work over to each other without the quality rising by 0.5."`
	Tree        []Running `json:"tree"`
}

// PingPong are two agents that go round in circles.
type PingPong struct {
	Agents    []string `json:"agents"`
	Handovers int      `json:"handovers" doc:"Four and more."`
}

// Running is a span that runs, with those below it.
type Running struct {
	Agent    string    `json:"agent,omitempty"`
	Name     string    `json:"name"`
	TraceID  string    `json:"trace_id"`
	SpanID   string    `json:"span_id"`
	Since    time.Time `json:"since"`
	LastSign time.Time `json:"last_sign"`
	Lost     bool      `json:"lost,omitempty"`
	UsualNs  int64     `json:"usual_ns,omitempty" doc:"The 95th percentile of its kind: the task's type, the agent's invocations."`
	WaitsFor []WaitFor `json:"waits_for,omitempty"`
	Children []Running `json:"children,omitempty"`
}

// WaitFor is work that was given to another agent and is not answered yet.
type WaitFor struct {
	Agent  string    `json:"agent"`
	Since  time.Time `json:"since"`
	Queued bool      `json:"queued,omitempty" doc:"Nobody has been seen to work on it."`
}

// Holder is a running span that holds a task's work.
type Holder struct {
	Agent    string    `json:"agent,omitempty"`
	Span     string    `json:"span"`
	TraceID  string    `json:"trace_id"`
	SpanID   string    `json:"span_id"`
	Since    time.Time `json:"since"`
	LastSign time.Time `json:"last_sign"`
}

// RunningTasks is the data of the event that comes first.
type RunningTasks struct {
	Tasks []RunningTask `json:"tasks" doc:"The longest running first, at most 1000."`
	Total int           `json:"total"`
}

const (
	// maxLive bounds the tasks of one event.
	maxLive = 1000
	// livePace is the shortest time between two readings of what runs, and so between two events.
	livePace = 250 * time.Millisecond
	// liveBeat is the longest time without one, so that a connection that is gone is noticed.
	liveBeat = 15 * time.Second
)

// liveInput names a project that is checked before the stream begins.
type liveInput struct {
	ProjectInput
	Last string `header:"Last-Event-ID" doc:"The id of the last event that was read: what changed since follows when that is known, else all."`
}

// Resolve implements huma.Resolver.
func (in *liveInput) Resolve(huma.Context) []error {
	if _, err := in.project(); err != nil {
		return []error{&huma.ErrorDetail{Message: err.Error(), Location: "query.project", Value: in.Parameter}}
	}
	return nil
}

// Live mounts the stream of what runs now. Closing view ends the streams.
func (a *API) Live(view *live.View) {
	all := &feeds{view: view, byProject: map[signal.Project]*feed{}}
	sse.Register(a.huma, huma.Operation{
		OperationID: "watch-tasks", Method: http.MethodGet, Path: Prefix + "/live",
		Summary: "What runs just now, as server-sent events: all of it at once, then what changes",
		Errors:  []int{http.StatusBadRequest}, Middlewares: huma.Middlewares{untimed},
	}, map[string]any{"tasks": RunningTasks{}, "changes": TaskChanges{}}, func(ctx context.Context, in *liveInput, send sse.Sender) {
		project, err := in.project()
		if err != nil {
			return // Resolve refused it
		}
		f := all.open(project)
		defer all.close(f)
		last, err := strconv.Atoi(in.Last)
		if err != nil {
			last = -1 // nothing was read, or what was is not ours
		}
		watchTasks(ctx, f, last, send)
	})
	a.undescribe("/live")
}

// untimed lets a stream be silent for as long as it likes.
func untimed(ctx huma.Context, next func(huma.Context)) {
	if w, ok := ctx.BodyWriter().(http.ResponseWriter); ok {
		ctx = eventContext{ctx, eventWriter{w}}
	}
	next(ctx)
}

type eventContext struct {
	base
	w eventWriter
}

func (c eventContext) BodyWriter() io.Writer { return c.w }

// eventWriter takes back the deadline that huma sets for the writing of an event, once that is written. Over HTTP/2 a
// deadline that passes ends the stream though nothing waits to be written, over HTTP/1.1 it spoils the end of the stream.
type eventWriter struct{ http.ResponseWriter }

// Unwrap lets huma find the writer that takes deadlines.
func (w eventWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush ends an event.
func (w eventWriter) Flush() {
	c := http.NewResponseController(w.ResponseWriter)
	if c.Flush() == nil { // what failed keeps its deadline, the next write fails too
		_ = c.SetWriteDeadline(time.Time{})
	}
}

// watchTasks sends what runs, or what changed after the event last, and then what changes, until ctx or the view ends, or
// the watcher is gone.
func watchTasks(ctx context.Context, f *feed, last int, send sse.Sender) {
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for due := true; ; {
		f.refresh()
		n := f.after(last)
		if due || !n.empty {
			if send(sse.Message{ID: n.number, Data: n.data}) != nil {
				return
			}
		}
		last = n.number
		select {
		case <-n.more:
			due = false
		case <-beat.C:
			due = true // a word, so that a connection that is gone is noticed
		case <-ctx.Done():
			return
		case <-f.view.Done():
			return
		}
		pace := time.NewTimer(time.Until(n.at))
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		case <-f.view.Done():
			return
		}
	}
}
