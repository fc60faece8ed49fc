package llmhttp

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// framed feeds a framer in pieces and returns the events as name=data.
func framed(f func(emit) framer, piece int, data string) []string {
	var got []string
	fr := f(func(name string, data []byte) { got = append(got, name+"="+string(data)) })
	for i := 0; i < len(data); i += piece {
		fr.feed([]byte(data[i:min(i+piece, len(data))]))
	}
	fr.end()
	return got
}

func TestFrames(t *testing.T) {
	f := func(kind func(emit) framer, data string, want ...string) {
		t.Helper()
		for _, piece := range []int{1, 2, 3, 5, 1000} {
			if diff := cmp.Diff(want, framed(kind, piece, data)); diff != "" {
				t.Errorf("%q in pieces of %d (-want +got):\n%s", data, piece, diff)
			}
		}
	}
	sse := func(e emit) framer { return &events{emit: e} }
	f(sse, "data: a\n\ndata: b\n\n", "=a", "=b")
	f(sse, "event: x\r\ndata: a\r\ndata: b\r\n\r\n: a comment\r\n\r\n", "x=a\nb")
	f(sse, "data:a\r\rdata: [DONE]\r\r", "=a")
	f(sse, "id: 1\nretry: 5\nevent: ping\n\ndata: the last has no end", "=the last has no end")
	js := func(e emit) framer { return &values{emit: e} }
	f(js, `{"a":"}\"{"}`, `={"a":"}\"{"}`)
	f(js, "{\"a\":1}\n{\"b\":[2,{}]}\n", `={"a":1}`, `={"b":[2,{}]}`)
	f(js, ` [ {"a":[1]} , {"b":2} ] `, `={"a":[1]}`, `={"b":2}`)
	f(js, `{"a":`)
	f(js, `]]}}"text" 12 {"a":1}`, `={"a":1}`)
	aws := func(e emit) framer { return &awsFrames{emit: e} }
	one, two := awsFrame(":event-type", "chunk", `{"bytes":"e30="}`), awsFrame(":exception-type", "throttlingException", `{}`)
	f(aws, one+two, `chunk={"bytes":"e30="}`, `throttlingException={}`)
	broken := []byte(one)
	broken[20]++
	f(aws, string(broken)+two)
	f(aws, "not a frame at all, but long enough")
}

// awsFrame makes a frame with one header.
func awsFrame(name, value, payload string) string {
	h := append([]byte{byte(len(name))}, name...)
	h = append(h, 7, byte(len(value)>>8), byte(len(value)))
	h = append(h, value...)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(h)+len(payload)+preludeSize+trailerSize))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// TestEventTooLarge: an event beyond the bound is left out, and those after it are read.
func TestEventTooLarge(t *testing.T) {
	big := make([]byte, maxBody+1)
	for i := range big {
		big[i] = 'x'
	}
	got := framed(func(e emit) framer { return &events{emit: e} }, 1<<16, "data: a\n\ndata: "+string(big)+"\n\ndata: b\n\n")
	if diff := cmp.Diff([]string{"=a", "=b"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got = framed(func(e emit) framer { return &awsFrames{emit: e} }, 1<<16, awsFrame(":event-type", "a", string(big))+awsFrame(":event-type", "b", "1"))
	if diff := cmp.Diff([]string{"b=1"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
