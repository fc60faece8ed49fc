package storetest

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Query tests are text: a command with its input, a line "----" and the answer, up to an empty line.
//
//	write                       rows, one a line: KIND ID TIME field=value …; TIME is a duration after the base
//	select [option …]           the filter (see parseFilter), or nothing; answers ids with the fields asked for
//	aggregate columns=… by=…    the same; answers start, key: values
//	names, values field=…       the same; answer text: rows
//	delete                      the same; answers how many
//	restart                     closes and opens a store that keeps its rows
//
// Options: kind=span from=1s to=2h order=newest limit=3 fields=a,b project=p step=1h columns=count,sum:f,quantile:f:0.5.

//go:embed testdata/*.test
var queryTests embed.FS

func (s *suite) queries(t *testing.T) {
	files, err := queryTests.ReadDir("testdata")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d query tests: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(f.Name(), ".test"), func(t *testing.T) {
			script, err := queryTests.ReadFile("testdata/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			b := s.box(t)
			r := &runner{box: b, base: Base()}
			answered := r.run(string(script))
			if !s.Rewrite {
				if diff := cmp.Diff(string(script), answered); diff != "" {
					t.Errorf("answers differ (-file +store):\n%s", diff)
				}
				return
			}
			path := filepath.Join("..", "storetest", "testdata", f.Name())
			if err := os.WriteFile(path, []byte(answered), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type runner struct {
	*box
	base int64
}

// run answers every command of a script and returns the script with these answers.
func (r *runner) run(script string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(script, "\n"), "\n\n") {
		question, _, ok := strings.Cut(block+"\n", "----\n")
		if !ok { // a comment
			out.WriteString(block + "\n\n")
			continue
		}
		out.WriteString(question + "----\n" + r.answer(question) + "\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func (r *runner) answer(question string) string {
	head, input, _ := strings.Cut(question, "\n")
	for strings.HasPrefix(head, "#") {
		head, input, _ = strings.Cut(input, "\n")
	}
	command, options, _ := strings.Cut(head, " ")
	var lines []string
	var err error
	if command == "write" {
		lines, err = r.writeLines(input)
	} else {
		var q *query
		if q, err = r.parseQuery(options, input); err == nil {
			lines, err = r.do(command, q)
		}
	}
	if err != nil {
		lines = append(lines, "error: "+err.Error())
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r *runner) do(command string, q *query) ([]string, error) {
	ctx := r.t.Context()
	switch command {
	case "select":
		return r.selectLines(q)
	case "aggregate":
		return r.aggregateLines(q)
	case "names":
		counts, err := r.db.FieldNames(ctx, q.project, q.Scope)
		return countLines(counts), err
	case "values":
		counts, err := r.db.FieldValues(ctx, q.project, q.Scope, q.field, q.Limit)
		return countLines(counts), err
	case "delete":
		n, err := r.db.Delete(ctx, q.project, q.Scope)
		return []string{fmt.Sprintf("%d rows", n)}, err
	case "restart":
		if !r.Volatile {
			r.reopen()
		}
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

func (r *runner) writeLines(input string) ([]string, error) {
	var rows []store.Row
	for line := range strings.Lines(input) {
		words, err := splitWords(line)
		if err != nil || len(words) < 3 {
			return nil, fmt.Errorf("row %q: %w", line, err)
		}
		at, err := time.ParseDuration(words[2])
		if err != nil {
			return nil, err
		}
		one := row(store.Kind(words[0]), words[1], r.base+int64(at))
		for _, w := range words[3:] {
			name, value, _ := strings.Cut(w, "=")
			v, err := parseValue(value)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", name, err)
			}
			one.Add(name, v)
		}
		rows = append(rows, one)
	}
	rejected, err := r.db.Write(r.t.Context(), signal.DefaultProject, rows)
	r.settle()
	if rejected.Items > 0 {
		return []string{"rejected " + strconv.FormatInt(rejected.Items, 10)}, err
	}
	return nil, err
}

func (r *runner) selectLines(q *query) ([]string, error) {
	rows, err := collect(r.t, r.db, q.project, q.Select)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, found := range rows {
		parts := []string{found.ID}
		for _, name := range q.Fields {
			if v := found.Get(name); found.Has(name) {
				parts = append(parts, fmt.Sprintf("%s=%s:%q", name, v.Type(), v.Text()))
			}
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return lines, nil
}

func (r *runner) aggregateLines(q *query) ([]string, error) {
	groups, err := r.db.Aggregate(r.t.Context(), q.project, store.Aggregate{Scope: q.Scope, By: q.by, Step: q.step, Columns: q.columns, Limit: q.Limit})
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, g := range groups {
		var parts []string
		if q.step > 0 {
			parts = append(parts, time.Duration(g.Start-r.base).String())
		}
		for _, k := range g.Key {
			parts = append(parts, strconv.Quote(k))
		}
		values := make([]string, len(g.Values))
		for i, v := range g.Values {
			values[i] = strconv.FormatFloat(v, 'g', -1, 64)
		}
		lines = append(lines, strings.Join(parts, " ")+": "+strings.Join(values, " "))
	}
	return lines, nil
}

func countLines(counts []store.Count) []string {
	var lines []string
	for _, c := range counts {
		lines = append(lines, fmt.Sprintf("%q: %d", c.Text, c.Rows))
	}
	return lines
}

// query is a parsed question with all options there are.
type query struct {
	store.Select
	project signal.Project
	field   string
	by      []string
	step    time.Duration
	columns []store.Column
}

func (r *runner) parseQuery(options, input string) (*query, error) {
	q := &query{project: signal.DefaultProject}
	q.Scope, q.Order = allOf(store.KindSpan), store.OldestFirst
	words, err := splitWords(options)
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if err := r.option(q, name, value); err != nil {
			return nil, fmt.Errorf("option %q: %w", w, err)
		}
	}
	if strings.TrimSpace(input) == "" {
		return q, nil
	}
	q.Filter, err = parseFilter(input)
	return q, err
}

func (r *runner) option(q *query, name, value string) (err error) {
	var d time.Duration
	switch name {
	case "kind":
		q.Kind = store.Kind(value)
	case "from":
		d, err = time.ParseDuration(value)
		q.Time.Start = r.base + int64(d)
	case "to":
		d, err = time.ParseDuration(value)
		q.Time.End = r.base + int64(d)
	case "order":
		q.Order = map[string]store.Order{"newest": store.NewestFirst, "none": store.Unordered}[value]
	case "limit":
		q.Limit, err = strconv.Atoi(value)
	case "fields":
		q.Fields = strings.Split(value, ",")
	case "project":
		q.project = signal.Project(value)
	case "field":
		q.field = value
	case "by":
		q.by = strings.Split(value, ",")
	case "step":
		q.step, err = time.ParseDuration(value)
	case "columns":
		for c := range strings.SplitSeq(value, ",") {
			parts := append(strings.Split(c, ":"), "", "0")
			column := store.Column{Func: store.Func(parts[0]), Field: parts[1]}
			if column.Func == store.Quantile {
				column.Phi, err = strconv.ParseFloat(parts[2], 64)
			}
			q.columns = append(q.columns, column)
		}
	default:
		err = fmt.Errorf("unknown")
	}
	return err
}
