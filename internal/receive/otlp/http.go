package otlp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// compressions are the content encodings that are read; "" is none.
func compressions() []string { return []string{"", "gzip", "zstd"} }

// handler serves OTLP/HTTP; bodies come in decompressed.
func (r *Receiver) handler(endpoints []*endpoint) http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.HandleFunc(e.path, func(w http.ResponseWriter, req *http.Request) { r.exportHTTP(e, w, req) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		writeError(w, req, unsupported(http.StatusNotFound, "%s is not served here; OTLP is: %s", req.URL.Path, paths(endpoints)))
	})
	return mux
}

func paths(endpoints []*endpoint) string {
	var all []string
	for _, e := range endpoints {
		all = append(all, "POST "+e.path)
	}
	return strings.Join(all, ", ")
}

func (r *Receiver) exportHTTP(e *endpoint, w http.ResponseWriter, req *http.Request) {
	enc, checkErr := checkHTTP(req)
	reply, err := r.serve(req.Context(), call{
		endpoint:  e,
		transport: "http",
		project:   req.Header.Get(projectKey),
		enc:       enc,
		read: func(share *lease) ([]byte, func(), error) {
			if checkErr != nil {
				return nil, nil, checkErr
			}
			body, err := readBody(req.Body, req.ContentLength, share)
			return body, func() {}, err
		},
	})
	if err != nil {
		writeError(w, req, err)
		return
	}
	w.Header().Set("Content-Type", contentType(enc))
	_, _ = w.Write(reply) // the sender is gone when this fails, and will send again
}

// checkHTTP refuses what can't be an OTLP request and returns the encoding of the others.
func checkHTTP(req *http.Request) (encoding, error) {
	enc, ok := encodingOf(req)
	switch {
	case req.Method != http.MethodPost:
		return enc, unsupported(http.StatusMethodNotAllowed, "method %s: only POST is served here", req.Method)
	case !ok:
		return enc, unsupported(http.StatusUnsupportedMediaType, "content type %q: send %s or %s",
			req.Header.Get("Content-Type"), typeProtobuf, typeJSON)
	}
	return enc, nil
}

// encodingOf returns the encoding named by the request's content type; errors to unknown ones are answered in JSON.
func encodingOf(req *http.Request) (enc encoding, ok bool) {
	t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return jsonText, false
	}
	if t == typeProtobuf {
		return protobuf, true
	}
	return jsonText, t == typeJSON
}

func contentType(enc encoding) string {
	if enc == protobuf {
		return typeProtobuf
	}
	return typeJSON
}

// readBody reads a body of any length in growing pieces, each taken from the share first, so that neither a wrong
// Content-Length nor a compressed bomb takes more than was granted.
func readBody(r io.Reader, length int64, share *lease) ([]byte, error) {
	const first, most = 32 << 10, 1 << 20
	size := int64(first)
	if length >= 0 {
		size = min(length, most) + 1 // one more, so that the end is seen without growing
	}
	if err := share.grow(size); err != nil {
		return nil, err
	}
	buf := make([]byte, 0, size)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		if len(buf) < cap(buf) {
			continue
		}
		if err := share.grow(int64(cap(buf))); err != nil {
			return nil, err
		}
		bigger := make([]byte, len(buf), 2*cap(buf))
		copy(bigger, buf)
		buf = bigger
	}
}

func bodyError(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(large.Limit)
	}
	return invalid(fmt.Errorf("read body: %w", err))
}

// decompressError answers a body whose compression can't be read; confighttp calls it before any handler.
func (r *Receiver) decompressError(endpoints []*endpoint) func(http.ResponseWriter, *http.Request, string, int) {
	return func(w http.ResponseWriter, req *http.Request, msg string, _ int) {
		err := invalid(fmt.Errorf("read body: %s", msg))
		if name := req.Header.Get("Content-Encoding"); !slices.Contains(compressions(), name) {
			err = unsupported(http.StatusUnsupportedMediaType, "content encoding %q: send gzip, zstd or none", name)
		}
		for _, e := range endpoints {
			if e.path == req.URL.Path {
				r.observe(Report{Signal: e.signal, Transport: "http", Result: resultOf(err)})
			}
		}
		writeError(w, req, err)
	}
}

// writeError answers err as google.rpc.Status in the request's encoding.
func writeError(w http.ResponseWriter, req *http.Request, err error) {
	code, after := httpStatus(err)
	enc, _ := encodingOf(req)
	var body []byte
	var encErr error
	st := bodyStatus(err)
	if enc == protobuf {
		body, encErr = proto.Marshal(st)
	} else {
		body, encErr = json.Marshal(struct {
			Code    int32  `json:"code"`
			Message string `json:"message"`
		}{st.GetCode(), st.GetMessage()})
	}
	if encErr != nil {
		panic("BUG: encode status: " + encErr.Error())
	}
	h := w.Header()
	h.Set("Content-Type", contentType(enc))
	if code == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodPost)
	}
	if after > 0 {
		h.Set("Retry-After", strconv.Itoa(retrySeconds(after)))
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // nobody is left to tell
}

// retrySeconds rounds up: the header knows whole seconds, and sooner is not what was asked.
func retrySeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
