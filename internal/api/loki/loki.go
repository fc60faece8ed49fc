// Package loki serves logs at /loki/api/v1 as Grafana's Loki data source asks for them. The wire format is used nowhere
// else; what it means is query/logql's.
//
// With the header X-Loki-Response-Encoding-Flags: categorize-labels an answer keeps a line's labels apart by where they come
// from; without it they are one set, which splits the streams. docs/logql.md lists the endpoints.
package loki

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/derive/tail"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Prefix is the path below which the API lives.
const Prefix = "/loki/api/v1"

// projectHeader names the project a request is about.
const projectHeader = "X-Mindscope-Project"

// maxForm bounds the body of a POST.
const maxForm = 1 << 20

// Config is what the API knows beside the engine.
type Config struct {
	// Version is the server's.
	Version string
	// Retention is how long records are kept.
	Retention time.Duration
	// Feed has the records as they come; nil serves no tail.
	Feed *tail.Feed
	// Clock is the time now; nil is time.Now.
	Clock func() time.Time
	// Failed is told of errors that are not the asker's; nil ignores them.
	Failed func(error)
}

// API serves the endpoints below Prefix. It is an http.Handler.
type API struct {
	engine *logql.Engine
	cfg    Config
	mux    *http.ServeMux
}

// New returns the API over an engine.
func New(engine *logql.Engine, cfg Config) *API {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	a := &API{engine: engine, cfg: cfg, mux: http.NewServeMux()}
	for path, h := range map[string]func(*request) error{
		"query":                        a.query,
		"query_range":                  a.queryRange,
		"labels":                       a.labels,
		"label":                        a.labels,
		"label/{name}/values":          a.labelValues,
		"series":                       a.series,
		"index/stats":                  a.indexStats,
		"index/volume":                 a.volume,
		"index/volume_range":           a.volumeRange,
		"detected_fields":              a.detectedFields,
		"detected_field/{name}/values": a.detectedValues,
		"detected_labels":              a.detectedLabels,
		"patterns":                     a.patterns,
		"drilldown-limits":             a.drilldownLimits,
		"status/buildinfo":             a.buildInfo,
		"format_query":                 a.formatQuery,
		"tail":                         a.tail,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a.mux.HandleFunc(method+" "+Prefix+"/"+path, a.handle(h))
		}
		a.mux.HandleFunc(Prefix+"/"+path, a.wrongMethod)
	}
	a.mux.HandleFunc("/", NotFound)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// request is one question.
type request struct {
	*http.Request
	w       http.ResponseWriter
	project signal.Project
	now     time.Time
}

func (a *API) handle(h func(*request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		q := &request{Request: r, w: w, now: a.cfg.Clock()}
		err := r.ParseForm()
		if err != nil {
			err = signal.Permanent(errors.New("the parameters can't be read: " + err.Error()))
		} else {
			q.project, err = projectOf(r)
		}
		if err == nil {
			err = h(q)
		}
		if err != nil {
			a.fail(w, err)
		}
	}
}

// projectOf returns the project of a request: the header, else the parameter, else the default one.
func projectOf(r *http.Request) (signal.Project, error) {
	name := r.Header.Get(projectHeader)
	if name == "" {
		name = r.Form.Get("project")
	}
	p, err := signal.ParseProject(name)
	return p, signal.Permanent(err)
}

// fail is the one place where errors become statuses. Grafana shows the message.
func (a *API) fail(w http.ResponseWriter, err error) {
	switch {
	case signal.IsPermanent(err), errors.Is(err, store.ErrBadQuery):
		writeError(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, tail.ErrTooMany):
		writeError(w, http.StatusTooManyRequests, err.Error())
	case errors.Is(err, store.ErrPartial):
		writeError(w, http.StatusServiceUnavailable, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusServiceUnavailable, "the question was not answered in time")
	default:
		a.cfg.Failed(err)
		writeError(w, http.StatusInternalServerError, "the question could not be answered; the server's log says why")
	}
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "message": message})
}

// NotFound answers paths that no endpoint has.
func NotFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, "there is no endpoint "+r.URL.Path+"; those of Loki are below "+Prefix)
}

func (a *API) wrongMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, POST")
	writeError(w, http.StatusMethodNotAllowed, "only GET and POST are served here, not "+r.Method)
}

// answer writes a small document.
func (q *request) answer(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = q.w.Write(append(body, '\n')) // who is gone needs no answer
	return nil
}

// success is the envelope of most documents.
type success struct {
	Status string `json:"status"`
	Data   any    `json:"data"`
}

// categorized tells whether the asker wants labels by where they come from.
func (q *request) categorized() bool {
	for _, flags := range q.Header.Values("X-Loki-Response-Encoding-Flags") {
		for flag := range strings.SplitSeq(flags, ",") {
			if strings.TrimSpace(flag) == "categorize-labels" {
				return true
			}
		}
	}
	return false
}
