package logql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// randomLogs are records with all that can be odd about labels and lines.
func randomLogs(t *testing.T) plog.Logs {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	ld := plog.NewLogs()
	for i := range 500 {
		head := fmt.Sprintf("%dms %s", i*100, pick("-", "1", "5", "9", "13", "17", "21", "30", "WARN", "Error", "eRRor", "odd"))
		for _, part := range []string{
			pick("", " r:service.name=writer", " r:service.name=critic", " r:service.name=a/b"),
			pick("", " r:service.namespace=press", " r:service.namespace=a"),
			pick("", " r:deployment.environment=prod", " r:deployment.environment.name=dev"),
			pick("", " mindscope.agent=writer", " mindscope.agent=critic"), pick("", " mindscope.team=press"),
			pick("", " trace=a", " trace=b"), pick("", " mindscope.task_id=task-1"), pick("", " level=x", " words=5", " took=5ms"),
		} {
			head += part
		}
		line := pick("", "draft written", "Draft lost", `{"a":1,"level":"y"}`, `a=1 b="c d"`, "a.b*c", "überall 10.0.0.7", strings.Repeat("long ", 30))
		if err := appendRecord(ld, head+" | "+line); err != nil {
			t.Fatal(err)
		}
	}
	return ld
}

// randomQuery draws a query for lines.
func randomQuery(rt *rapid.T) string {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, name) }
	var b strings.Builder
	b.WriteString(pick("first", `{service_name=~".+"`, `{service_name!=""`, `{service_name="writer"`, `{job=~".+"`, `{level!="none"`))
	for range rapid.IntRange(0, 2).Draw(rt, "matchers") {
		b.WriteString(", " + pick("label", "service_name", "service_namespace", "deployment_environment", "team", "agent", "level", "detected_level", "job", "trace_id", "nothing") +
			pick("op", `="writer"`, `!="writer"`, `=~"writer|critic"`, `!~"writer|critic"`, `=~"(w|c).*"`, `!~"(w|c).*"`, `=""`, `!=""`, `=~".+"`, `!~".+"`, `=~".*"`,
				`="press"`, `="a/a/b"`, `="a/b"`, `=~"prod|dev"`, `="error"`, `=~"error|warn|"`, `!="error"`, `=~"e.*"`, `="unknown"`))
	}
	b.WriteString("}")
	for range rapid.IntRange(0, 3).Draw(rt, "stages") {
		b.WriteString(" " + pick("stage",
			`|= "draft"`, `!= "draft"`, `|= "a.b*c"`, `|= "" or "x"`, `|= "draft" or "long"`, `!= "draft" or "long"`, `|~ "(?i)draft"`, `!~ "(?i)draft"`, `|~ "^a"`,
			`|> "<_>a<_>"`, `!> "<_>a<_>"`, `|= ip("10.0.0.0/8")`, `!= ip("10.0.0.0/8")`, `|~ "d|l"`,
			`| agent="writer"`, `| agent!="writer" or level="error"`, `| level=~"error|warn" and team="press"`, `| trace_id!=""`, `| level=""`,
			`| words > 4`, `| words="5"`, `| took!="" or words=~"5|6"`, `| missing=""`, `| agent="writer" or words=5`, `| level_extracted="x"`, `| json`, `| logfmt`, `| drop __error__`, `| drop level`, `| keep agent, level`,
			`| line_format "{{.agent}} {{__line__}}"`, `| decolorize`, `| label_format agent="x", who=team`, `| unpack`))
	}
	return b.String()
}

// unpushed evaluates a query on every row, with nothing asked of the store.
func unpushed(t *testing.T, rows []store.Row, expr *LogExpr) []string {
	reader, ln := newRowReader(nil), &line{}
	var steps []step
	for _, s := range expr.Stages {
		compiled, err := compileStage(s)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, compiled)
	}
	var out []string
	for i := range rows {
		reader.read(&rows[i], ln)
		value := func(name string) string {
			if k := knownByName[name]; k != nil {
				return reader.text(k)
			}
			return ""
		}
		keep := !slices.ContainsFunc(expr.Matchers, func(m *Matcher) bool { return !m.Matches(value(m.Name)) })
		for _, s := range steps {
			keep = keep && s(ln)
		}
		if keep {
			e := ln.entry(rows[i].ID, sharedLabels{})
			out = append(out, entryText(&e))
		}
	}
	slices.Sort(out)
	return out
}

func entryText(e *Entry) string { return fmt.Sprint(e.At, e.Stream, e.Metadata, e.Parsed, e.Line) }

// TestStoresAgree: whatever is asked of the store, the answer is that of looking at every record; counts of the store are
// those of its rows.
func TestStoresAgree(t *testing.T) {
	ld := randomLogs(t)
	rows := store.AppendLogRows(nil, ld)
	engines := map[string]*Engine{}
	for name, open := range stores {
		events := open(t)
		if msg := writeLogs(t, events, ld); msg != "" {
			t.Fatal(msg)
		}
		engines[name] = New(events, Config{})
	}
	at := signal.Between(base.Add(-time.Second), base.Add(time.Hour))
	steps := Steps{Start: base.UnixNano(), End: base.Add(time.Minute).UnixNano(), Step: 7 * time.Second}
	rapid.Check(t, func(rt *rapid.T) {
		query := randomQuery(rt)
		expr, err := ParseSelector(query)
		if err != nil {
			// drop a != "b" is about a's value, so that a line filter with or can't follow.
			if strings.Contains(err.Error(), "not empty") || strings.Contains(query, "| drop") || strings.Contains(query, "| keep") {
				return
			}
			rt.Fatalf("%s: %v", query, err)
		}
		want := unpushed(t, rows, expr)
		op := rapid.SampledFrom([]string{opCountOverTime, opBytesRate}).Draw(rt, "op")
		by := rapid.SampledFrom([]string{"level, detected_level", "agent, service_name", "job", "words", "a, level", "level_extracted", "a, words", "words, took, missing", ""}).Draw(rt, "by")
		window := rapid.SampledFrom([]string{"7s", "14s", "3s", "10s500ms", "1h"}).Draw(rt, "window")
		counted, err := Parse(fmt.Sprintf("sum by (%s) (%s(%s | drop __error__ [%s]))", by, op, query, window))
		if err != nil {
			rt.Fatal(err)
		}
		read, err := Parse(fmt.Sprintf(`sum by (%s) (%s(%s | drop __error__ | decolorize [%s]))`, by, op, query, window))
		if err != nil {
			rt.Fatal(err)
		}
		var first []Series
		for name, e := range engines {
			lines, err := e.Lines(t.Context(), signal.DefaultProject, expr, at, 1000, rapid.Bool().Draw(rt, "forward"))
			if err != nil {
				rt.Fatalf("%s: %s: %v", name, query, err)
			}
			var got []string
			for i := range lines.Entries {
				got = append(got, entryText(&lines.Entries[i]))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("%s: %s: (-every row +answer)\n%s", name, query, diff)
			}
			for _, expr := range []Expr{counted, read} {
				m, err := e.Matrix(t.Context(), signal.DefaultProject, expr, steps)
				if err != nil {
					rt.Fatalf("%s: %s: %v", name, expr, err)
				}
				if first == nil {
					first = m.Series
				}
				if diff := cmp.Diff(first, m.Series, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
					rt.Fatalf("%s: %s:\n%s", name, expr, diff)
				}
			}
		}
	})
}
