// Package tempo serves traces as Tempo's HTTP API does, for Grafana's built-in data source: the address of the data source
// is the server's with Prefix behind it. The types of this package are that API's wire format and are used nowhere else.
//
// Grafana's newest plugin reads answers of searches strictly: a member that Tempo does not know ends the whole query.
package tempo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Prefix is the path below which the API lives.
const Prefix = "/tempo"

// projectHeader names the project a request is about, as in the API of tasks.
const projectHeader = "X-Mindscope-Project"

// featureVersion is the version of Tempo whose HTTP API is served: Grafana switches features on by it.
const featureVersion = "2.9.0"

// API serves the endpoints. It implements http.Handler for paths that begin with Prefix.
type API struct {
	engine  *traceql.Engine
	version string
	clock   func() time.Time
}

// New returns the API. version is the server's; clock may be nil for time.Now.
func New(engine *traceql.Engine, version string, clock func() time.Time) *API {
	if clock == nil {
		clock = time.Now
	}
	return &API{engine: engine, version: version, clock: clock}
}

// request is a request on its way through the API.
type request struct {
	*http.Request
	project signal.Project
	params  url.Values
	// args are the variable parts of the path, decoded.
	args []string
}

type handler func(a *API, w http.ResponseWriter, r *request) error

// endpoints are the patterns of paths behind the prefix. A star stands for one or more parts of the path, since tags may
// have slashes.
func endpoints() []struct {
	pattern string
	serve   handler
} {
	return []struct {
		pattern string
		serve   handler
	}{
		{"/api/echo", (*API).echo},
		{"/api/status/buildinfo", (*API).buildinfo},
		{"/api/v2/traces/*", (*API).traceV2},
		{"/api/traces/*", (*API).traceV1},
		{"/api/search", (*API).search},
		{"/api/v2/search/tags", (*API).tagsV2},
		{"/api/v2/search/tag/*/values", (*API).valuesV2},
		{"/api/search/tags", (*API).tagsV1},
		{"/api/search/tag/*/values", (*API).valuesV1},
		{"/api/metrics/query_range", (*API).metricsRange},
		{"/api/metrics/query", (*API).metricsInstant},
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), Prefix), "/")
	for _, e := range endpoints() {
		args, ok := match(e.pattern, path)
		if !ok {
			continue
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "only GET is served here")
			return
		}
		if err := a.serve(w, r, e.serve, args); err != nil {
			problem(w, err)
		}
		return
	}
	fail(w, http.StatusNotFound, "there is no such endpoint of Tempo's API: "+path)
}

// match tells whether an escaped path has a pattern, and returns what stands for the star.
func match(pattern, path string) ([]string, bool) {
	head, tail, variable := strings.Cut(pattern, "*")
	if !variable {
		return nil, pattern == path
	}
	if !strings.HasPrefix(path, head) || !strings.HasSuffix(path, tail) || len(path) <= len(head)+len(tail) {
		return nil, false
	}
	arg, err := url.PathUnescape(path[len(head) : len(path)-len(tail)])
	return []string{arg}, err == nil
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, h handler, args []string) error {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return signal.Permanent(err)
	}
	project, err := signal.ParseProject(cmp.Or(r.Header.Get(projectHeader), params.Get("project")))
	if err != nil {
		return signal.Permanent(err)
	}
	return h(a, w, &request{Request: r, project: project, params: params, args: args})
}

func (a *API) echo(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("echo"))
	return err
}

func (a *API) buildinfo(w http.ResponseWriter, _ *request) error {
	return answer(w, map[string]string{
		"version": featureVersion, "revision": "mindscope " + a.version, "branch": "", "buildDate": "", "buildUser": "", "goVersion": "",
	})
}

// answer writes a document.
func answer(w http.ResponseWriter, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)
	return err
}

// encode writes JSON that leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// problem is the one place where errors become statuses.
func problem(w http.ResponseWriter, err error) {
	var syntax *traceql.SyntaxError
	switch {
	case errors.As(err, &syntax):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, store.ErrNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, traceql.ErrTooLarge), errors.Is(err, store.ErrTooMany):
		fail(w, http.StatusUnprocessableEntity, err.Error())
	case signal.IsPermanent(err):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusServiceUnavailable, "the question was not answered in time")
	default:
		fail(w, http.StatusInternalServerError, "the question could not be answered: "+err.Error())
	}
}

// fail answers an error: Grafana 10 to 12 shows the member message, later ones the whole text.
func fail(w http.ResponseWriter, status int, message string) {
	body, err := encode(map[string]string{"message": message})
	if err != nil {
		panic("BUG: encode error: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// number reads a whole number of a parameter; absent is 0.
func (r *request) number(name string) (int64, error) {
	text := r.params.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, floatErr := strconv.ParseFloat(text, 64)
		if floatErr != nil || f != f || f > 1e18 || f < -1e18 {
			return 0, signal.Permanent(errors.New(name + " " + strconv.Quote(text) + ": a whole number is expected"))
		}
		n = int64(f)
	}
	return n, nil
}

// count reads a number of things, between 1 and most; absent and 0 are the default, more than most is most.
func (r *request) count(name string, usual, most int) (int, error) {
	n, err := r.number(name)
	switch {
	case err != nil:
		return 0, err
	case n < 0:
		return 0, signal.Permanent(errors.New(name + " must not be negative"))
	case n == 0:
		return usual, nil
	}
	return int(min(n, int64(most))), nil
}

// time reads the range of the parameters start and end. given says that there was one of them.
func (r *request) time(now time.Time) (at signal.TimeRange, given bool, err error) {
	start, err := r.number("start")
	if err != nil {
		return at, false, err
	}
	end, err := r.number("end")
	if err != nil {
		return at, false, err
	}
	if at, err = traceql.Seconds(start, end, now.UnixNano()); err != nil {
		return at, false, err
	}
	if at.End < 1<<62 {
		at.End += int64(time.Second) // the second that is named counts
	}
	return at, start != 0 || end != 0, nil
}
