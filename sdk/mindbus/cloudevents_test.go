package mindbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func full() Message {
	return Message{
		ID: "m-1", Type: Command, From: "orchestrator", To: "writer", TaskID: "task-456",
		Payload: json.RawMessage(`{"topic":"bees & <b>hives</b>"}`),
		Time:    time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC), TraceParent: parent, TraceState: "a=1",
		Extensions: map[string]any{"attempt": int32(2), "draft": true, "region": "eu"},
	}
}

func TestEncode(t *testing.T) {
	got, err := Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"m-1","type":"ai.team.command","source":"orchestrator","toagent":"writer",` +
		`"subject":"task-456","time":"2026-03-04T05:06:07.00000089Z","traceparent":"` + parent + `","tracestate":"a=1",` +
		`"datacontenttype":"application/json","data":{"topic":"bees & <b>hives</b>"},` +
		`"attempt":2,"draft":true,"region":"eu"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestEncodeWritesWhatEncodingJSONWrites: the event is written by hand, and is the same to the letter.
func TestEncodeWritesWhatEncodingJSONWrites(t *testing.T) {
	type event struct {
		SpecVersion     string          `json:"specversion"`
		ID              string          `json:"id"`
		Type            string          `json:"type"`
		Source          string          `json:"source"`
		ToAgent         string          `json:"toagent,omitempty"`
		Subject         string          `json:"subject,omitempty"`
		Time            time.Time       `json:"time,omitzero"`
		TraceParent     string          `json:"traceparent,omitempty"`
		TraceState      string          `json:"tracestate,omitempty"`
		DataContentType string          `json:"datacontenttype,omitempty"`
		Data            json.RawMessage `json:"data,omitempty"`
	}
	f := func(edit func(*Message)) {
		t.Helper()
		m := full()
		m.Extensions = nil
		edit(&m)
		got, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		e := event{
			SpecVersion: "1.0", ID: m.ID, Type: m.Type.eventType(), Source: escapeSource(m.From), ToAgent: m.To, Subject: m.TaskID,
			Time: m.Time, TraceParent: m.TraceParent, TraceState: m.TraceState, Data: m.Payload,
		}
		if len(m.Payload) > 0 {
			e.DataContentType = "application/json"
		}
		want, err := encodeJSON(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
	f(func(*Message) {})
	f(func(m *Message) {
		m.Payload, m.TaskID, m.TraceParent, m.TraceState, m.Time = nil, "", "", "", time.Time{}
	})
	f(func(m *Message) { m.Payload = json.RawMessage(" { \"a\" : [ 1 , \"<b> & \u2028\" ] } ") })
	for _, text := range []string{`say "no"`, `C:\tasks`, "<b> & </b>", "Aufgabe №7", "\u2028", "a\u00adb", "~ !"} {
		f(func(m *Message) { m.ID, m.To, m.TaskID, m.TraceState = text, text, text, text })
	}
}

func TestEncodeDecode(t *testing.T) {
	f := func(edit func(*Message)) {
		t.Helper()
		want := full()
		edit(&want)
		data, err := Encode(want)
		if err != nil {
			t.Errorf("encode: %v", err)
			return
		}
		got, err := Decode(data)
		if err != nil {
			t.Errorf("decode %s: %v", data, err)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
	f(func(*Message) {})
	for _, typ := range []Type{Command, Result, ErrorResult, Event, Control} {
		f(func(m *Message) { m.Type = typ })
	}
	// Agents' names of any shape make a valid URI reference.
	for _, from := range []string{
		"writer/2", "a b", "écrivain", "https://team.example/agents/writer", "urn:agent:7", "a:b", ":b", "100%", "a%20b", "?#",
	} {
		f(func(m *Message) { m.From = from })
	}
	for _, id := range []string{"", "task-456", "Aufgabe №7: Bienen", "a/b?c=d", strings.Repeat("x", 10_000)} {
		f(func(m *Message) { m.TaskID = id })
	}
	for _, payload := range []string{"", "null", "0", `"text"`, "[1,2]", `{"a":{"b":1e400}}`, `"\u2028\ud83d\ude00"`} {
		f(func(m *Message) { m.Payload = nilIfEmpty(payload) })
	}
	f(func(m *Message) { m.Time, m.Extensions, m.TraceParent, m.TraceState = time.Time{}, nil, "", "" })
	// A broken trace is no reason to lose the message.
	f(func(m *Message) { m.TraceParent = "00-zz" })
	f(func(m *Message) {
		for i := range int32(100) {
			m.Extensions["x"+strconv.Itoa(int(i))] = i
		}
	})
}

func nilIfEmpty(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func TestEncodeFailure(t *testing.T) {
	f := func(want string, edit func(*Message)) {
		t.Helper()
		m := full()
		edit(&m)
		_, err := Encode(m)
		wantInvalid(t, err, want)
	}
	f("id is empty", func(m *Message) { m.ID = "" })
	f(`type "" is none of`, func(m *Message) { m.Type = "" })
	f(`type "ORDER" is none of`, func(m *Message) { m.Type = "ORDER" })
	f("from_agent is empty", func(m *Message) { m.From = "" })
	f("to_agent is empty", func(m *Message) { m.To = "" })
	f("trace_id has the character U+000A", func(m *Message) { m.TaskID = "a\nb" })
	f("id is not valid UTF-8", func(m *Message) { m.ID = "\xff" })
	f("payload", func(m *Message) { m.Payload = json.RawMessage(`{"a":`) })
	f("16777", func(m *Message) { m.Payload = json.RawMessage(`"` + strings.Repeat("x", MaxSize) + `"`) })
	f(`attribute "Attempt"`, func(m *Message) { m.Extensions = map[string]any{"Attempt": "1"} })
	f(`extension "id" has a field`, func(m *Message) { m.Extensions = map[string]any{"id": "1"} })
	f(`extension "f" is a float64`, func(m *Message) { m.Extensions = map[string]any{"f": 1.5} })
	f("year 10000", func(m *Message) { m.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) })
}

func wantInvalid(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %v with %q", err, ErrInvalid, want)
	}
}

func TestDecodePlain(t *testing.T) {
	got, err := Decode([]byte(` {"id":"7","type":"RESULT","from_agent":"writer","to_agent":"orchestrator",
		"trace_id":"task-456","payload":{"text": "Bees."}} `))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		ID: "7", Type: Result, From: "writer", To: "orchestrator", TaskID: "task-456",
		Payload: json.RawMessage(`{"text":"Bees."}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestDecodeForeignEvent(t *testing.T) {
	got, err := Decode([]byte(`{"specversion":"1.0","type":"ai.team.event","source":"/agents/w%201","id":"1",
		"toagent":"article.done","subject":null,"time":"2026-03-04T05:06:07+02:00",
		"datacontenttype":"application/vnd.team+json; charset=utf-8","dataschema":"https://team.example/s.json","priority":3}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		ID: "1", Type: Event, From: "/agents/w 1", To: "article.done",
		Time: time.Date(2026, 3, 4, 3, 6, 7, 0, time.UTC), Extensions: map[string]any{"priority": int32(3)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestDecodeFailure(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		_, err := Decode([]byte(data))
		wantInvalid(t, err, want)
	}
	// event returns a valid event with something put in its place.
	event := func(old, replacement string) string {
		const ok = `{"specversion":"1.0","id":"1","type":"ai.team.command","source":"a","toagent":"b","data":{}}`
		if !strings.Contains(ok, old) {
			t.Fatalf("BUG: %q is not in the event", old)
		}
		return strings.Replace(ok, old, replacement, 1)
	}
	var many strings.Builder // more than are looked through one by one
	for i := range 50 {
		fmt.Fprintf(&many, `"x%d":%d,`, i, i)
	}
	manyMembers := many.String()
	if _, err := Decode([]byte(event("", ""))); err != nil {
		t.Fatal(err)
	}
	f("", "not JSON: unexpected end")
	f("hello", "not JSON")
	f("[]", "not a JSON object")
	f("{}", "neither a CloudEvents event")
	f("\xff{}", "not valid UTF-8")
	f(`{"a":1`, "not JSON")
	f(`{"specversion":"1.0"} {}`, "not JSON: invalid character '{' after top-level value")
	f(`{"id":"1","id":"2"}`, `"id" is there twice`)
	f(`{`+manyMembers+`"id":"1","id":"2"}`, `"id" is there twice`)
	f(event(`"data":{}`, manyMembers+`"data":{},"x7":true`), `"x7" is there twice`)
	f(`{"specversion":`+strings.Repeat("[", 20_000), "not JSON")
	f(strings.Repeat(" ", MaxSize+1), "16777217 bytes")
	f(event(`"1.0"`, `"0.3"`), `specversion is "0.3"`)
	f(event(`"1.0"`, `1`), "specversion is not a string")
	f(event(`"id":"1",`, ``), "id is missing")
	f(event(`"id":"1"`, `"id":""`), "id is empty")
	f(event(`"id":"1"`, `"id":null`), "id is missing")
	f(event(`"id":"1"`, `"id":"a\u0000"`), "id has the character U+0000")
	f(event(`"source":"a",`, ``), "source is missing")
	f(event(`"source":"a"`, `"source":"a b"`), `source "a b" is no URI reference`)
	f(event(`"source":"a"`, `"source":"%zz"`), `source "%zz" is no URI reference`)
	f(event(`"source":"a"`, `"source":":a"`), `source ":a" is no URI reference`)
	f(event(`ai.team.command`, `ai.team.order`), `type "ai.team.order" is none of`)
	f(event(`"toagent":"b",`, ``), "to_agent is empty")
	f(event(`"data":{}`, `"time":"yesterday"`), `time "yesterday" is not RFC 3339`)
	f(event(`"data":{}`, `"traceparent":""`), "traceparent is empty")
	f(event(`"data":{}`, `"subject":7`), "subject is not a string")
	f(event(`"data":{}`, `"dataschema":"not absolute"`), "dataschema")
	f(event(`"data":{}`, `"datacontenttype":"text/xml","data":"<a/>"`), `datacontenttype "text/xml"`)
	f(event(`"data":{}`, `"data":1,"data_base64":"AA=="`), "data and data_base64 are both there")
	f(event(`"data":{}`, `"data_base64":"AA=="`), "payloads of the team are JSON")
	f(event(`"data":{}`, `"Mixed":"x"`), `attribute "Mixed"`)
	f(event(`"data":{}`, `"x":1.5`), "1.5 is no 32-bit integer")
	f(event(`"data":{}`, `"x":2147483648`), "is no 32-bit integer")
	f(event(`"data":{}`, `"x":{}`), "x is an object or array")
	f(`{"id":"1","type":"COMMAND","from_agent":"a","to_agent":"b"}`, "trace_id is missing")
	f(`{"id":1,"type":"COMMAND","from_agent":"a","to_agent":"b","trace_id":"t"}`, "id is not a string")
	f(`{"id":"1","type":"command","from_agent":"a","to_agent":"b","trace_id":"t"}`, `type "command" is none of`)
	f(`{"id":"1","type":"COMMAND","from_agent":"a","to_agent":"b","trace_id":"t","cc":"c"}`, `"cc" is none of the six`)
}

// FuzzDecode: no input crashes, every error is an ErrInvalid, and what was read is written and read the same again.
func FuzzDecode(f *testing.F) {
	data, err := Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"id":"7","type":"RESULT","from_agent":"w","to_agent":"o","trace_id":"t","payload":[1, 2]}`))
	f.Add([]byte(`{"specversion":"1.0","type":"ai.team.event","source":"/a%2Fb","id":"1","toagent":"x.y","x":-1,"data":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error is not marked: %v", err)
			}
			return
		}
		again, err := Encode(m)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		m2, err := Decode(again)
		if err != nil {
			t.Fatalf("decode %s: %v", again, err)
		}
		if diff := cmp.Diff(m, m2); diff != "" {
			t.Fatalf("not the same again (-first +second):\n%s", diff)
		}
	})
}
