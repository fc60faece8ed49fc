package logql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/goleak"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

// boundedEngine returns an engine over 2000 lines of 100 services.
func boundedEngine(t *testing.T, cfg Config) *Engine {
	ld := plog.NewLogs()
	for i := range 2000 {
		if err := appendRecord(ld, fmt.Sprintf("%dms INFO r:service.name=s%d | %d %s", i, i%100, i, strings.Repeat("x", 200))); err != nil {
			t.Fatal(err)
		}
	}
	events := memdb.New(memdb.Config{})
	writeLogs(t, events, ld)
	return New(events, cfg)
}

// TestBounds: what is too much is refused in words, whichever part of a query it is.
func TestBounds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	at := signal.Between(base, base.Add(time.Hour))
	steps := Steps{Start: base.UnixNano(), End: base.Add(time.Minute).UnixNano(), Step: time.Second}
	f := func(cfg Config, query, part string) {
		t.Helper()
		e := boundedEngine(t, cfg)
		expr, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if log, ok := expr.(*LogExpr); ok {
			_, err = e.Lines(t.Context(), signal.DefaultProject, log, at, 5000, false)
		} else {
			_, err = e.Matrix(t.Context(), signal.DefaultProject, expr, steps)
		}
		if err == nil || !signal.IsPermanent(err) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", query, err)
		}
	}
	const all = `{service_name=~".+"}`
	f(Config{MaxBytes: 400_000}, all, "more than 0 MiB of memory")
	f(Config{MaxBytes: 20_000}, `count_over_time(`+all+`[1h])`, "memory")                                 // counts
	f(Config{MaxBytes: 20_000}, `sum(count_over_time(`+all+` | line_format "" [1h]))`, "memory")          // samples of a window
	f(Config{MaxBytes: 100_000}, `count_over_time(`+all+`[1h]) + count_over_time(`+all+`[1h])`, "memory") // pairs
	one := `sum(count_over_time(` + all + ` | json | __error__!="x" | drop __error__, __error_details__ [1s]))`
	f(Config{MaxBytes: windowBytes}, one+` + `+one, "memory")                                         // each has a window of the store's rows
	f(Config{MaxBytes: 160 << 20}, one+strings.Repeat(` + `+one, 6), "memory")                        // six beside the first
	f(Config{MaxSeries: 50}, `count_over_time(`+all+`[1h])`, "more than 50 series")                   // of counts
	f(Config{MaxSeries: 50}, `count_over_time(`+all+` | line_format "" [1h])`, "more than 50 series") // of rows
	f(Config{MaxSeries: 150}, `count_over_time(`+all+`[1h]) or label_replace(count_over_time(`+all+`[1h]), "x", "y", "", "")`, "150 series")
	f(Config{MaxSteps: 60}, `vector(1)`, "61 steps")
	f(Config{Timeout: time.Nanosecond}, all, "not answered within 1ns")
	f(Config{Timeout: time.Nanosecond}, `count_over_time(`+all+` | json [1h])`, "not answered within 1ns")
}

// TestSomeWindowsFit: a query may read the rows of several ranges.
func TestSomeWindowsFit(t *testing.T) {
	e := boundedEngine(t, Config{})
	one := `sum(count_over_time({service_name=~".+"} | line_format "" [1s]))`
	expr, err := Parse(one + strings.Repeat(" + "+one, 4))
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Matrix(t.Context(), signal.DefaultProject, expr, Instant(base.Add(time.Second).UnixNano()))
	if err != nil || len(m.Series) != 1 || m.Series[0].Points[0].Value != 5000 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestWindowsAreForgotten: a query over many windows holds the samples of one.
func TestWindowsAreForgotten(t *testing.T) {
	e := boundedEngine(t, Config{MaxBytes: 120_000})
	expr, err := Parse(`sum(count_over_time({service_name=~".+"} | line_format "" [10ms]))`)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Matrix(t.Context(), signal.DefaultProject, expr,
		Steps{Start: base.Add(9 * time.Millisecond).UnixNano(), End: base.Add(1999 * time.Millisecond).UnixNano(), Step: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Series) != 1 || len(m.Series[0].Points) != 200 || m.Series[0].Points[150].Value != 10 {
		t.Errorf("%+v", m)
	}
}

// TestCancelled: who has gone is not waited for.
func TestCancelled(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e := boundedEngine(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, query := range []string{`{service_name=~".+"}`, `count_over_time({service_name=~".+"} | json [1h])`} {
		expr, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if log, ok := expr.(*LogExpr); ok {
			_, err = e.Lines(ctx, signal.DefaultProject, log, signal.AllTime(), 10, false)
		} else {
			_, err = e.Matrix(ctx, signal.DefaultProject, expr, Instant(base.UnixNano()))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestFollow: a query picks lines from rows one by one.
func TestFollow(t *testing.T) {
	expr, err := ParseSelector(`{service_name="s1", job=~"s.*"} |= "201" | line_format "<{{__line__ | trunc 3}}>"`)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Follow(expr)
	if err != nil {
		t.Fatal(err)
	}
	ld := plog.NewLogs()
	for _, text := range []string{"1s - r:service.name=s1 | 201 x", "2s - r:service.name=s2 | 201 x", "3s - r:service.name=s1 | 202 x"} {
		if err := appendRecord(ld, text); err != nil {
			t.Fatal(err)
		}
	}
	match, err := store.Compile(f.Filter())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range store.AppendLogRows(nil, ld) {
		if !match(&row) {
			continue
		}
		if e, ok := f.Take(&row); ok {
			got = append(got, e.Line)
		}
	}
	if len(got) != 1 || got[0] != "<201>" {
		t.Errorf("%q", got)
	}
}
