package llmhttp

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"mime"
	"net/http"
)

// framer cuts an answer into its events while it comes. It is fed with any pieces.
type framer interface {
	feed(p []byte)
	// end says that nothing more comes.
	end()
}

// unread reads nothing.
type unread struct{}

func (unread) feed([]byte) {}
func (unread) end()        {}

// emit takes an event. The data are the framer's and valid during the call only.
type emit func(name string, data []byte)

// framerOf chooses by an answer's headers.
func framerOf(h http.Header, e emit) framer {
	var f framer
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err == nil && kind == "text/event-stream":
		f = &events{emit: e}
	case err == nil && kind == "application/vnd.amazon.eventstream":
		f = &awsFrames{emit: e}
	default:
		f = &values{emit: e}
	}
	switch h.Get("Content-Encoding") {
	case "gzip", "deflate":
		// The caller asked for compressed bytes and gets them. They are unpacked at the end.
		return &packed{inner: f, gzip: h.Get("Content-Encoding") == "gzip"}
	}
	return f
}

// packed holds compressed bytes until the end.
type packed struct {
	inner framer
	gzip  bool
	held  []byte
	over  bool
}

func (f *packed) feed(p []byte) {
	if f.over = f.over || len(f.held)+len(p) > maxBody; f.over {
		f.held = nil
		return
	}
	f.held = append(f.held, p...)
}

func (f *packed) end() {
	var r io.ReadCloser
	var err error
	if f.gzip {
		r, err = gzip.NewReader(bytes.NewReader(f.held))
	} else {
		r, err = zlib.NewReader(bytes.NewReader(f.held))
	}
	if err != nil {
		f.inner.feed(f.held) // some say so of bytes that are not compressed
		f.inner.end()
		return
	}
	defer r.Close()
	buf := make([]byte, 32<<10)
	for total := 0; total < 8*maxBody; {
		n, err := r.Read(buf)
		f.inner.feed(buf[:n])
		if total += n; err != nil {
			break
		}
	}
	f.inner.end()
}

// events cuts server-sent events.
type events struct {
	emit emit
	line []byte
	name string
	data []byte
	// lines is how many data lines the event has; cr says that a carriage return ended the last line.
	lines    int
	cr, over bool
}

func (f *events) feed(p []byte) {
	for len(p) > 0 {
		if f.cr && p[0] == '\n' {
			p, f.cr = p[1:], false
			continue
		}
		f.cr = false
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			f.take(p)
			return
		}
		f.take(p[:i])
		f.cr = p[i] == '\r'
		p = p[i+1:]
		f.endLine()
	}
}

func (f *events) take(p []byte) {
	if f.over = f.over || len(f.line)+len(f.data)+len(p) > maxBody; f.over {
		f.line, f.data = nil, nil
		return
	}
	f.line = append(f.line, p...)
}

func (f *events) endLine() {
	line := f.line
	f.line = f.line[:0]
	if len(line) == 0 && !f.over {
		f.dispatch()
		return
	}
	if len(line) == 0 { // the end of an event that was too large, or of one of its lines
		f.over, f.lines, f.name = false, 0, ""
		return
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		f.name = string(value)
	case "data":
		if f.lines > 0 {
			f.data = append(f.data, '\n')
		}
		f.data = append(f.data, value...)
		f.lines++
	}
}

func (f *events) dispatch() {
	if f.lines > 0 && !bytes.Equal(f.data, []byte("[DONE]")) {
		f.emit(f.name, f.data)
	}
	f.name, f.data, f.lines = "", f.data[:0], 0
}

func (f *events) end() {
	f.endLine()
	f.dispatch()
}

// values cuts JSON: a whole document, one value a line, or the elements of an array.
type values struct {
	emit  emit
	held  []byte
	depth int
	// array says that the values are elements of an array, string and escape where in a text the last byte was.
	array, text, escape bool
	over                bool
	tail                []byte
}

// maxTail is how much of the end of a too large document is kept, for the usage there.
const maxTail = 64 << 10

func (f *values) feed(p []byte) {
	start := 0
	for i, c := range p {
		switch {
		case f.escape:
			f.escape = false
		case f.text:
			f.escape, f.text = c == '\\', c != '"'
		case c == '"':
			f.text = true
		case c == '[' && f.depth == 0 && !f.array:
			f.array = true
			start = i + 1
		case c == '{' || c == '[':
			if f.depth == 0 {
				start = i
			}
			f.depth++
		case (c == '}' || c == ']') && f.depth > 0:
			if f.depth--; f.depth == 0 {
				f.keep(p[start : i+1])
				start = i + 1
				f.value()
			}
		case c == ']':
			f.array = false
		}
	}
	if f.depth > 0 {
		f.keep(p[start:])
	}
}

func (f *values) keep(p []byte) {
	if f.over = f.over || len(f.held)+len(p) > maxBody; !f.over {
		f.held = append(f.held, p...)
		return
	}
	if len(f.held) > 0 {
		f.tail, f.held = append(f.tail[:0], last(f.held, maxTail)...), nil
	}
	if f.tail = append(f.tail, p...); len(f.tail) > 2*maxTail {
		f.tail = append(f.tail[:0], last(f.tail, maxTail)...)
	}
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// value hands out what was kept. Of a value that was too large its usage is taken, which stands at the end.
func (f *values) value() {
	if f.over {
		for _, key := range []string{`"usage"`, `"usageMetadata"`} {
			if i := bytes.LastIndex(f.tail, []byte(key)); i >= 0 {
				f.emit("", usageAt(f.tail[i:]))
			}
		}
	} else {
		f.emit("", f.held)
	}
	f.held, f.tail, f.over = f.held[:0], nil, false
}

// usageAt makes a document of a member and the object that is its value; what follows is dropped.
func usageAt(member []byte) []byte {
	var found []byte
	inner := values{emit: func(_ string, data []byte) { found = bytes.Clone(data) }}
	name, rest, _ := bytes.Cut(member, []byte(":"))
	for i := range rest {
		if inner.feed(rest[i : i+1]); found != nil {
			break
		}
	}
	if found == nil {
		return nil
	}
	return append(append(append(append([]byte("{"), name...), ':'), found...), '}')
}

func (f *values) end() {}
