package teamtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

func TestParse(t *testing.T) {
	traces, logs, err := Parse(`
at 2026-01-02T03:04:05Z
service newsroom
resource ai_team.team=press
trace a
execute_task | 1s 2s | id=1 n=1 f=1.5 b=true s="two words" outcome=failed error="it broke" # a comment
  send | 1500ms 1ms | kind=producer link=b/7 to=writer
    "hello" | 2s | severity=ERROR
? invoke_agent writer | 3s | id=2 parent=1
! invoke_agent writer | 13s | id=2 parent=1
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range store.AppendLogRows(store.AppendSpanRows(nil, traces), logs) {
		var fields []string
		for _, f := range r.Fields {
			if f.Name != store.FieldEnd {
				fields = append(fields, f.Name+"="+string(f.Value.JSON()))
			}
		}
		got = append(got, string(r.Kind)+" "+strings.Join(fields, " "))
	}
	const trace = `trace_id="0000000000000000000000000000000a"`
	want := []string{
		`span ` + trace + ` span_id="0000000000000001" name="execute_task" span_kind="internal" status="error" duration_ns=2000000000 status_message="it broke"`,
		`span ` + trace + ` span_id="00000000e0000002" parent_span_id="0000000000000001" name="send" span_kind="producer" status="unset" duration_ns=1000000 links=[{"trace_id":"0000000000000000000000000000000b","span_id":"0000000000000007"}]`,
		`log ` + trace + ` span_id="00000000e0000002" severity_text="ERROR" body="hello"`,
		`start ` + trace + ` span_id="0000000000000002" event_name="ai_team.span.started"`,
		`heartbeat ` + trace + ` span_id="0000000000000002" event_name="ai_team.span.heartbeat"`,
	}
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], " resource.")
		got[i], _, _ = strings.Cut(got[i], " service=")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"execute_task":                  "NAME | START",
		"  child | 0s":                  "one level deeper",
		"a | soon":                      "invalid duration",
		"a | 0s 1s 2s":                  "START DURATION",
		"a | 0s 1s | =1":                "key=value",
		"a | 0s 1s | k=\"open":          "value of k",
		"a | 0s 1s | id=xyz":            "id",
		"a | 0s 1s | kind=sideways":     "kind",
		"a | 0s 1s | link=nowhere":      "link",
		"trace xyz":                     "invalid syntax",
		"at noon":                       "cannot parse",
		"fine | 0s 1s\n\"open | 0s":     "line 2",
		"resource k":                    "key=value",
		"fine | 0s 1s\n    deep | 0s 1": "line 2",
	} {
		if _, _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
