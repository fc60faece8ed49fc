package mindbus_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// eventSchema compiles the JSON schema that CloudEvents publishes. It is among the recordings.
func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := os.Getenv("MINDSCOPE_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "samples")
	}
	path := filepath.Join(dir, "protocol", "cloudevents", "cloudevents.json")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("there is no folder of recordings: set MINDSCOPE_SAMPLES (%v)", err)
		}
		t.Skipf("there is no folder of recordings: set MINDSCOPE_SAMPLES to one (%v)", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestEventsFollowTheSchema holds what the bus writes against the schema, and the reader's judgement against the schema's.
func TestEventsFollowTheSchema(t *testing.T) {
	schema := eventSchema(t)
	valid := func(body []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	for _, typ := range []mindbus.Type{
		mindbus.Command, mindbus.Result, mindbus.ErrorResult, mindbus.Event, mindbus.Control,
	} {
		for _, payload := range []string{"", `{"a":[1,2]}`, `"text"`, "null", "3"} {
			m := mindbus.Message{
				ID: "1", Type: typ, From: "agent with spaces/é", To: "writer.done", TaskID: "task-456",
				Payload: json.RawMessage(payload), Time: time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC),
				TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b",
				Extensions: map[string]any{"priority": int32(3), "urgent": true, "partof": "x"},
			}
			body, err := mindbus.Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := valid(body); err != nil {
				t.Errorf("%s with payload %q: %v", typ, payload, err)
			}
		}
	}
	refused := func(body string) {
		t.Helper()
		if valid([]byte(body)) == nil {
			t.Errorf("the schema takes %s", body)
		}
		if _, err := mindbus.Decode([]byte(body)); err == nil {
			t.Errorf("the bus takes %s", body)
		}
	}
	refused(`[]`)
	refused(`{"specversion":"1.0","type":"ai.team.event","source":"a"}`)
	refused(`{"specversion":"1.0","type":"ai.team.event","source":"a","id":""}`)
	refused(`{"specversion":"1.0","type":"ai.team.event","source":"","id":"1"}`)
	refused(`{"specversion":"1.0","type":3,"source":"a","id":"1"}`)
	refused(`{"specversion":"1.0","type":"ai.team.event","source":"a","id":"1","time":"yesterday"}`)
	refused(`{"specversion":"1.0","type":"ai.team.event","source":"a","id":"1","data_base64":7}`)
}
