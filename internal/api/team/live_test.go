package team

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// committed tells a View of a scenario as a store would.
func committed(t *testing.T, view *live.View, text string) {
	t.Helper()
	traces, logs, err := teamtest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	view.Committed(signal.DefaultProject, store.AppendLogRows(store.AppendSpanRows(nil, traces), logs))
}

const runs = `at 2000-01-01T00:00:00Z
? execute_task | -5s | id=1 mindscope.task_id=task-456 mindscope.team=press mindscope.agent=orchestrator mindscope.task_type=article
  ? invoke_agent writer | -2s | id=2 mindscope.task_id=task-456 mindscope.team=press mindscope.agent=writer
`

func TestLiveStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		view := live.New(live.Config{})
		mux := http.NewServeMux()
		Register(mux, nil, "v0.0.0").Live(view)
		committed(t, view, runs)
		go func() {
			time.Sleep(time.Minute) // nobody beats: the writer goes silent
			view.Tick()
			time.Sleep(time.Second)
			// Both at once: between two calls the stream may tell of the state in between.
			committed(t, view, "execute_task | 0s 61s | id=1\ninvoke_agent writer | 0s 61s | id=2")
			time.Sleep(time.Second)
			view.Close()
		}()
		golden(t, "watch-tasks", watched(mux, ""))
		// Whoever comes back with the id of the first event hears what changed since; of another process' event, all.
		golden(t, "watch-tasks-again", watched(mux, "946684800000001"))
		golden(t, "watch-tasks-unknown", watched(mux, "946684799999999"))
		golden(t, "watch-tasks-nonsense", watched(mux, "x"))
	})
}

// watched reads the stream until the view is closed. Words that only say that the connection is there are told once.
func watched(mux *http.ServeMux, last string) string {
	r, w := httptest.NewRequest(http.MethodGet, Prefix+"/live", nil), httptest.NewRecorder()
	head := "GET " + Prefix + "/live\n"
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
		head += "Last-Event-ID: " + last + "\n"
	}
	mux.ServeHTTP(w, r)
	var events []string
	for event := range strings.SplitSeq(w.Body.String(), "\n\n") {
		if event != "" && (len(events) == 0 || event != events[len(events)-1]) {
			events = append(events, event)
		}
	}
	return head + "\n" + w.Header().Get("Content-Type") + "\n\n" + strings.Join(events, "\n\n") + "\n"
}

// TestLiveOutlastsDeadlines: a stream that is silent for longer than the writing of one event may take goes on, over either
// version of HTTP, and ends cleanly when the server stops.
func TestLiveOutlastsDeadlines(t *testing.T) {
	f := func(name string, version func(*http.Protocols)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outlasts(t, version) })
		})
	}
	f("HTTP/1.1", func(p *http.Protocols) { p.SetHTTP1(true) })
	f("HTTP/2", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
}

func outlasts(t *testing.T, version func(*http.Protocols)) {
	t.Helper()
	view := live.New(live.Config{})
	mux := http.NewServeMux()
	Register(mux, nil, "v0.0.0").Live(view)
	protocols := &http.Protocols{}
	version(protocols)
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	transport := &http.Transport{Protocols: protocols, DialContext: l.dial}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server"+Prefix+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer time.AfterFunc(liveBeat*5/2, view.Close).Stop() // the deadline of the last event has passed
	text, err := io.ReadAll(resp.Body)
	if n := bytes.Count(text, []byte("data: ")); err != nil || n != 3 {
		t.Errorf("%d events, want all that runs and 2 beats; then the end: %v\n%s", n, err, text)
	}
}

// pipes connects clients to a server without the network, so that their time is the test's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
