package logql

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// FuzzAnswer wants no crash from any query over any line: only answers and errors, within the query's time.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{a!="b"} | json | logfmt | unpack | decolorize | line_format "{{range .}}{{.}}{{end}}{{__line__ | b64enc | trunc 4}}"`,
		`sum by (a) (rate({a!="b"} | json | unwrap duration(x) | __error__="" [5m] offset 1h)) / on(a) group_left(c) count(rate({a!="b"}[1m])) > bool 1`,
		`topk(5, quantile_over_time(0.99, {a!="b"} | json | unwrap a | __error__="" [1h30m]) without (b)) or vector(1) ^ -2`,
		`label_replace(bytes_over_time({a!="b"} | pattern "<x>:<_>" [5s]), "a", "$1", "x", "(.*)")`,
		`{a!="b"} | regexp "(?P<x>.)" | x=ip("10.0.0.0/8") or x>5KB | label_format y="{{ .x | repeat 3 | alignLeft 9 | printf \"%5s\" }}"`,
		`rate_counter({a!="b"} | logfmt | unwrap b [1m]) |> "a<_>b"`,
	} {
		f.Add(seed, `{"a":1,"x":"5s","b":{"c":[1]}}`)
		f.Add(seed, "a=1 b=\"2\" \x1b[31mred 10.0.0.1:80")
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		expr, err := Parse(query)
		if err != nil {
			return
		}
		events := memdb.New(memdb.Config{})
		ld := plog.NewLogs()
		for _, at := range []string{"1s", "2s", "61s"} {
			if err := appendRecord(ld, at+" INFO r:service.name=s x=5 | "+strings.ReplaceAll(text, "| ", "|")); err != nil {
				t.Fatal(err)
			}
		}
		if msg := writeLogs(t, events, ld); msg != "" {
			t.Fatal(msg)
		}
		e := New(events, Config{Timeout: 5 * time.Second, MaxBytes: 64 << 20})
		begin := time.Now()
		if log, ok := expr.(*LogExpr); ok {
			_, _ = e.Lines(t.Context(), signal.DefaultProject, log, signal.Between(base, base.Add(time.Hour)), 10, false)
		} else {
			_, _ = e.Matrix(t.Context(), signal.DefaultProject, expr, Steps{base.UnixNano(), base.Add(2 * time.Minute).UnixNano(), 30 * time.Second})
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Fatalf("%q took %s", query, took)
		}
	})
}
