package llmhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// maxBody bounds what is kept of a request's body and of one event of an answer, in bytes. Of an answer beyond it the
// usage at its end is still read.
const maxBody = 8 << 20

// exchange is one attempt at a call, from the request until the answer was read. It may be used concurrently, since a
// caller may close a body that is being read.
type exchange struct {
	watch *watch
	route route
	ctx   context.Context
	call  *sdk.LLM
	key   attempt

	mu     sync.Mutex
	sent   *copied // a request's body that could only be read while it was sent
	status int
	frames framer
	answer answer
	ended  bool
}

// begin starts the report of a call. It returns nil for requests that are no calls, and when nobody listens.
func (w *watch) begin(req *http.Request) (context.Context, *exchange) {
	ctx := req.Context()
	r, ok := routeOf(req)
	if !ok {
		return ctx, nil
	}
	if w.cfg.provider != "" {
		r.provider = w.cfg.provider
	}
	x := &exchange{watch: w, route: r, ctx: ctx}
	body := peek(req)
	q := question{model: r.model}
	x.answer.room = w.cfg.maxContent
	x.answer.keep = sdk.CaptureContent()
	if body != nil {
		q = x.ask(body)
	}
	child, call := sdk.StartInference(ctx, r.operation, r.provider, q.model)
	if !call.Span().IsRecording() {
		return child, nil // the span is empty and needs no end
	}
	x.call = call
	x.key, _ = attemptOf(ctx, req, body)
	x.describe(req, w.attempts.before(req, x.key))
	if body != nil {
		x.asked(q)
	}
	x.answer.begin(child, r)
	return child, x
}

// peek returns the body of a request that can be read more than once, nil for others.
func peek(req *http.Request) []byte {
	if req.GetBody == nil || req.ContentLength > maxBody {
		return nil
	}
	r, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil || len(b) > maxBody {
		return nil
	}
	return b
}

// describe sets what the request's address and headers say.
func (x *exchange) describe(req *http.Request, resent int) {
	attrs := []attribute.KeyValue{attribute.String(conv.ServerAddress, req.URL.Hostname())}
	if port, err := strconv.Atoi(req.URL.Port()); err == nil {
		attrs = append(attrs, attribute.Int(conv.ServerPort, port))
	}
	if resent > 0 {
		attrs = append(attrs, attribute.Int(conv.HTTPRequestResendCount, resent))
	}
	if x.route.agent != "" {
		// The agent at work is the hosted one, not the one that calls it.
		x.call.Span().SetName("invoke_agent " + x.route.agent)
		attrs = append(attrs, attribute.String(conv.GenAIAgentID, x.route.agent), attribute.String(conv.GenAIAgentName, x.route.agent))
	}
	x.call.Span().SetAttributes(attrs...)
}

// ask reads a request's body.
func (x *exchange) ask(body []byte) question {
	q := question{model: x.route.model, keep: x.answer.keep, room: x.watch.cfg.maxContent}
	x.route.dialect.request(body, &q)
	x.route.stream = x.route.stream || q.stream
	return q
}

// asked reports what was asked.
func (x *exchange) asked(q question) {
	if q.maxTokens > 0 {
		x.call.Span().SetAttributes(attribute.Int(conv.GenAIRequestMaxTokens, int(q.maxTokens)))
	}
	if q.temperature != nil {
		x.call.Span().SetAttributes(attribute.Float64(conv.GenAIRequestTemperature, *q.temperature))
	}
	if len(q.system) > 0 {
		x.call.SystemInstructions(q.system)
	}
	if len(q.input) > 0 {
		x.call.Input(q.input)
	}
}

// watchRequest keeps a copy of a body that can be read once only, while it is sent.
func (x *exchange) watchRequest(out *http.Request) {
	if out.Body == nil || out.Body == http.NoBody || out.GetBody != nil && out.ContentLength <= maxBody {
		return
	}
	x.sent = &copied{ReadCloser: out.Body}
	out.Body = x.sent
}

// copied is a body with a bounded copy of what was read of it.
type copied struct {
	io.ReadCloser
	mu   sync.Mutex
	copy []byte
	over bool
}

// Read implements io.Reader.
func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.copy)+n > maxBody {
		c.over, c.copy = true, nil
	}
	if !c.over {
		c.copy = append(c.copy, p[:n]...)
	}
	return n, err
}

func (c *copied) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copy
}

// answered takes what the transport returned, and puts itself between the answer's body and its reader.
func (x *exchange) answered(resp *http.Response, err error) {
	guard(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.sent != nil {
			x.readSent()
		}
		if err != nil || resp == nil {
			x.end(err, true)
			return
		}
		x.status = resp.StatusCode
		x.call.Span().SetAttributes(attribute.Int(conv.HTTPResponseStatusCode, resp.StatusCode))
		x.answer.headers(resp.Header)
		if resp.Body == nil || resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
			x.end(nil, false)
			return
		}
		x.frames = framerOf(resp.Header, x.event)
		resp.Body = &answerBody{resp.Body, x}
	})
}

// readSent reads a request's body after it was sent. One that names no model leaves what the address said.
func (x *exchange) readSent() {
	b := x.sent.bytes()
	if len(b) == 0 {
		return
	}
	q := x.ask(b)
	if q.model != "" && q.model != x.route.model {
		x.call.Model(q.model)
	}
	x.asked(q)
}

// answerBody is an answer's body that tells what is read of it.
type answerBody struct {
	io.ReadCloser
	x *exchange
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.read(p[:n], err)
	return n, err
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.x.closed()
	return err
}

// read takes what the caller read, and the error it got.
func (x *exchange) read(p []byte, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	whole := guard(func() {
		if len(p) > 0 {
			if x.route.stream && x.status < 300 {
				x.call.Chunk()
			}
			x.frames.feed(p)
		}
	})
	if !whole {
		x.frames = unread{} // whose state is not to be trusted any more
	}
	if errors.Is(err, io.EOF) {
		x.end(nil, false)
	} else if err != nil {
		x.end(err, true)
	}
}

// closed takes the end of the caller's interest. Who stops reading because the work is cancelled did not get an answer.
func (x *exchange) closed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	err := x.ctx.Err()
	x.end(err, err != nil)
}

// event takes one event of the answer.
func (x *exchange) event(name string, data []byte) {
	if x.status >= 300 {
		x.answer.failure(name, data)
		return
	}
	if name == "error" || strings.HasSuffix(name, "Exception") {
		x.answer.failure(name, data)
		return
	}
	x.route.dialect.event(name, data, &x.answer)
}

// end reports the call. failed says that there was no whole answer.
func (x *exchange) end(err error, failed bool) {
	if x.ended {
		return
	}
	x.ended = true
	guard(func() {
		if x.frames != nil {
			x.frames.end()
		}
		x.answer.report(x.call)
	})
	if err == nil {
		err = x.answer.error(x.status)
	}
	x.watch.attempts.ended(x.key, failed || err != nil)
	err = withoutAddress(err)
	x.call.End(&err)
}

// withoutAddress returns what an error of net/http says beside the address, which may have a key in its query. The span
// has the server's name anyway.
func withoutAddress(err error) error {
	var named *url.Error
	for errors.As(err, &named) && named.Err != nil {
		err = named.Err
	}
	return err
}
