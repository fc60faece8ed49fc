package eventdb

import (
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

func TestNodeCheck(t *testing.T) {
	const good = `vl_rows 5
flag{name="futureRetention", value="2d", is_set="false"} 1
flag{name="insert.maxFieldsPerLine", value="2000", is_set="true"} 1
flag{name="internaldelete.enable", value="true", is_set="true"} 1
flag{name="retentionPeriod", value="31d", is_set="true"} 1
`
	needs := nodeNeeds{retention: 31 * day, future: 2 * day}
	f := func(metrics, hint string) {
		t.Helper()
		err := needs.check("node:1", metrics)
		if (err == nil) != (hint == "") || hint != "" && !strings.Contains(signal.HintOf(err), hint) {
			t.Errorf("%v: %s", err, signal.HintOf(err))
		}
	}
	f(good, "")
	f(strings.Replace(good, "31d", "7d", 1), "-retentionPeriod=31d")
	f(strings.Replace(good, "2000", "1000", 1), "-insert.maxFieldsPerLine=2000")
	f(strings.Replace(good, `"true", is_set="true"`, `"false", is_set="false"`, 1), "-internaldelete.enable")
	f(strings.Replace(good, "2d", "1d", 1), "-futureRetention=2d")
	f("", "-insert.maxFieldsPerLine=2000 -internaldelete.enable")
}

func TestNodeDuration(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		got, ok := nodeDuration(text)
		if got != want || ok != (want > 0) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	f("7d", 7*day)
	f("36h", 36*time.Hour)
	f("1.5", 1116*time.Hour)
	f("100y", 100*365*day)
	f("", 0)
	f("d", 0)
	f("900y", 0)
}
