// Package llmhttptest plays recorded exchanges with providers of models, so that a test of an agent needs neither a
// provider nor a key. It reads the cassettes of VCR (YAML), the recordings of nock (JSON), and single answers (JSON).
package llmhttptest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Exchange is a recorded request and its answer.
type Exchange struct {
	// Method and URL are the request's; empty in recordings of answers only.
	Method, URL string
	// Request is the request's body.
	Request []byte
	// Status is the answer's.
	Status int
	// Header is the answer's.
	Header http.Header
	// Response is the answer's body, not compressed.
	Response []byte
}

// ErrNoExchanges is returned for files that hold no recorded HTTP exchange.
var ErrNoExchanges = errors.New("the file holds no exchanges")

// Load reads the exchanges of a file, in their order.
func Load(file string) ([]Exchange, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	load := loadVCR
	if strings.HasSuffix(file, ".json") {
		load = loadJSON
	}
	list, err := load(b)
	if err == nil && len(list) == 0 {
		err = ErrNoExchanges
	}
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", file, err)
	}
	return list, nil
}

func loadVCR(b []byte) ([]Exchange, error) {
	var cassette struct {
		Interactions []struct {
			Request struct {
				Body, Method, URI string
			}
			Response struct {
				Body struct {
					String string
				}
				Headers map[string][]string
				Status  struct {
					Code int
				}
			}
		}
	}
	if err := yaml.Unmarshal(b, &cassette); err != nil {
		return nil, err
	}
	var list []Exchange
	for _, i := range cassette.Interactions {
		e := Exchange{
			Method: i.Request.Method, URL: i.Request.URI, Request: []byte(i.Request.Body),
			Status: i.Response.Status.Code, Header: http.Header{}, Response: []byte(i.Response.Body.String),
		}
		for name, values := range i.Response.Headers {
			for _, v := range values {
				e.Header.Add(name, v)
			}
		}
		list = append(list, e.whole())
	}
	return list, nil
}

// recorded is an exchange of nock, or an answer alone.
type recorded struct {
	Scope, Method, Path string
	Body                json.RawMessage
	Status              int
	Response            json.RawMessage
	RawHeaders          []string
	Headers             map[string]string
}

func loadJSON(b []byte) ([]Exchange, error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		b = append(append([]byte("["), b...), ']')
	}
	var all []recorded
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	var list []Exchange
	for _, r := range all {
		e := Exchange{Method: r.Method, URL: r.Scope + r.Path, Status: r.Status, Header: http.Header{}}
		for i := 0; i+1 < len(r.RawHeaders); i += 2 {
			e.Header.Add(r.RawHeaders[i], r.RawHeaders[i+1])
		}
		for name, v := range r.Headers {
			e.Header.Set(name, v)
		}
		e.Request, e.Response = r.Body, textOf(r.Response)
		if r.Scope == "" {
			e.Request, e.Response = nil, textOf(r.Body)
		}
		list = append(list, e.whole())
	}
	return list, nil
}

// textOf returns a body: JSON as it is, a text's characters, and bytes of those in hex digits, which may be in pieces.
func textOf(raw json.RawMessage) []byte {
	var pieces []string
	if json.Unmarshal(raw, &pieces) != nil {
		pieces = make([]string, 1)
		if json.Unmarshal(raw, &pieces[0]) != nil {
			return raw
		}
	}
	s := strings.Join(pieces, "")
	if b, err := hex.DecodeString(s); err == nil {
		return b
	}
	return []byte(s)
}

// whole gives an answer the type that its body has, and takes away what is no longer true of it.
func (e Exchange) whole() Exchange {
	for _, name := range []string{"Content-Encoding", "Transfer-Encoding", "Content-Length", "Connection"} {
		e.Header.Del(name)
	}
	if e.Header.Get("Content-Type") != "" {
		return e
	}
	kind := "application/json"
	switch {
	case bytes.HasPrefix(e.Response, []byte("event:")), bytes.HasPrefix(e.Response, []byte("data:")):
		kind = "text/event-stream"
	case bytes.HasPrefix(e.Response, []byte{0}):
		kind = "application/vnd.amazon.eventstream"
	}
	e.Header.Set("Content-Type", kind)
	return e
}

// Player answers requests with recorded exchanges, one after the other whatever is asked. It is an http.RoundTripper and
// an http.Handler, and safe for concurrent use.
type Player struct {
	// Piece is how many bytes of an answer are handed out at a time; 0 hands out all that is asked for.
	Piece int

	mu   sync.Mutex
	list []Exchange
	got  []*http.Request
}

// NewPlayer returns a Player of the exchanges. When they are used up it answers 501.
func NewPlayer(list ...Exchange) *Player { return &Player{list: list} }

// Requests returns the requests that came, without their bodies.
func (p *Player) Requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.got...)
}

func (p *Player) next(r *http.Request) Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, r)
	if len(p.list) == 0 {
		return Exchange{Status: http.StatusNotImplemented, Header: http.Header{}}
	}
	e := p.list[0]
	p.list = p.list[1:]
	return e
}

// RoundTrip implements http.RoundTripper.
func (p *Player) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, err := io.Copy(io.Discard, r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	e := p.next(r)
	return &http.Response{
		StatusCode: e.Status, Header: e.Header.Clone(), Request: r, ContentLength: -1,
		Body: io.NopCloser(&pieces{e.Response, p.Piece}),
	}, nil
}

// pieces reads bytes in pieces.
type pieces struct {
	rest []byte
	size int
}

// Read implements io.Reader.
func (r *pieces) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if r.size > 0 && len(p) > r.size {
		p = p[:r.size]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// ServeHTTP implements http.Handler.
func (p *Player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // what a client sends and how it stops is its own affair
	e := p.next(r)
	maps.Copy(w.Header(), e.Header)
	w.WriteHeader(e.Status)
	size := p.Piece
	if size == 0 {
		size = len(e.Response)
	}
	for rest := e.Response; len(rest) > 0; {
		n := min(size, len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			return
		}
		rest = rest[n:]
		_ = http.NewResponseController(w).Flush() // a recorder in a test has nothing to flush to
	}
}

// Serve starts a server on loopback that plays the exchanges, until the test ends.
func Serve(t testing.TB, list ...Exchange) (*Player, string) {
	t.Helper()
	p := NewPlayer(list...)
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return p, s.URL
}
