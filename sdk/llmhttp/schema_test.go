package llmhttp_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/llmhttp/llmhttptest"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// shape is what OpenTelemetry's schema of messages asks of one kind of object: the members that must be there.
type shape struct {
	Required   []string
	Properties map[string]struct{ Const string }
}

// shapes returns the shapes of a schema: that of messages, and those of parts by their type.
func shapes(t *testing.T, file, message string) (shape, map[string]shape) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]shape `json:"$defs"`
	}
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	parts := map[string]shape{}
	for _, s := range schema.Defs {
		if kind := s.Properties["type"].Const; kind != "" {
			parts[kind] = s
		}
	}
	if len(schema.Defs[message].Required) == 0 || len(parts) < 7 {
		t.Fatalf("%s has another form than expected", file)
	}
	return schema.Defs[message], parts
}

// TestMessagesFitTheSchema holds what is kept of every recorded exchange against OpenTelemetry's schemas of messages.
func TestMessagesFitTheSchema(t *testing.T) {
	dir := samples(t)
	t.Setenv(sdk.CaptureVariable, "true")
	rec := sdktest.New(t)
	schemas := filepath.Join(dir, "protocol", "otel-genai-schemas")
	checked := map[string]int{}
	for key, file := range map[string][2]string{
		conv.GenAIInputMessages:  {"gen-ai-input-messages.json", "ChatMessage"},
		conv.GenAIOutputMessages: {"gen-ai-output-messages.json", "OutputMessage"},
	} {
		message, parts := shapes(t, filepath.Join(schemas, file[0]), file[1])
		for name := range recordings(t, dir) {
			if _, err := llmhttptest.Load(filepath.Join(dir, name)); err != nil {
				continue
			}
			for _, e := range load(t, filepath.Join(dir, name)) {
				for _, s := range play(t, rec, e, 0, false) {
					text := sdktest.Attr(s, key).AsString()
					if text == "" {
						continue
					}
					var messages []map[string]json.RawMessage
					if err := json.Unmarshal([]byte(text), &messages); err != nil {
						t.Fatalf("%s: %s: %v", name, key, err)
					}
					for _, m := range messages {
						checked[key]++
						fits(t, name, key, m, message)
						var list []map[string]json.RawMessage
						if err := json.Unmarshal(m["parts"], &list); err != nil {
							t.Errorf("%s: parts of %s: %v", name, key, err)
						}
						for _, p := range list {
							var kind string
							_ = json.Unmarshal(p["type"], &kind) // what has no type is of none
							fits(t, name, key+" "+kind, p, parts[kind])
						}
					}
				}
			}
		}
	}
	if os.Getenv("MINDSCOPE_SAMPLES") == "" && (checked[conv.GenAIInputMessages] < 100 || checked[conv.GenAIOutputMessages] < 40) {
		t.Errorf("checked only %v", checked)
	}
	t.Logf("checked %v", checked)
}

func fits(t *testing.T, file, what string, object map[string]json.RawMessage, s shape) {
	t.Helper()
	if len(s.Required) == 0 {
		t.Errorf("%s: the schema has no %s", file, what)
	}
	for _, name := range s.Required {
		if len(object[name]) == 0 {
			t.Errorf("%s: %s has no %s: %s", file, what, name, object)
		}
	}
}
