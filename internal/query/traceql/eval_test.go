package traceql

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

var rewriteTests = flag.Bool("rewrite", false, "write the answers of memdb into the tests in testdata")

// Tests in testdata are text: a command with its input, a line "----" and the answer, up to an empty line.
//
//	write                    spans, as package teamtest reads them
//	search [option …]        a query; answers traces, their spansets and spans
//	range [option …]         a query; answers series with their samples
//	instant [option …]       the same, one value a series
//	tags, values [option …]  what can be asked for; values has the attribute as its input, and a query behind it or not
//
// Options: from and to (durations after the base), limit, spss, step, exemplars, scope.
const p = signal.DefaultProject

// base is the time that teamtest counts from.
func base() time.Time { return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC) }

func TestQueries(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".test")
		t.Run("memdb/"+name, func(t *testing.T) { runFile(t, file, newMemory(), *rewriteTests) })
		t.Run("eventdb/"+name, func(t *testing.T) { runFile(t, file, newDisk(t), false) })
	}
}

func clock() time.Time { return base().Add(24 * time.Hour) }

func newMemory() store.Events { return memdb.New(memdb.Config{Clock: clock}) }

func newDisk(t testing.TB) store.Events {
	t.Helper()
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Clock: clock, Retention: 50 * 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func runFile(t *testing.T, file string, db store.Events, rewrite bool) {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, db: db, engine: New(db, Options{})}
	answered := r.run(string(script))
	if rewrite {
		if err := os.WriteFile(file, []byte(answered), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(script), answered); diff != "" {
		t.Errorf("answers differ (-file +store):\n%s", diff)
	}
}

type runner struct {
	t      *testing.T
	db     store.Events
	engine *Engine
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
	command, rest, _ := strings.Cut(head, " ")
	opts := options{from: 0, to: 2 * time.Hour, step: time.Minute}
	for word := range strings.FieldsSeq(rest) {
		if err := opts.set(word); err != nil {
			r.t.Fatalf("%s: %v", head, err)
		}
	}
	var out strings.Builder
	if err := r.do(command, opts, input, &out); err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	return out.String()
}

type options struct {
	from, to, step        time.Duration
	limit, spss, exemplar int
	scope                 string
}

func (o *options) set(word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "from":
		o.from, err = time.ParseDuration(value)
	case "to":
		o.to, err = time.ParseDuration(value)
	case "step":
		o.step, err = time.ParseDuration(value)
	case "limit":
		o.limit, err = strconv.Atoi(value)
	case "spss":
		o.spss, err = strconv.Atoi(value)
	case "exemplars":
		o.exemplar, err = strconv.Atoi(value)
	case "scope":
		o.scope = value
	default:
		err = fmt.Errorf("option %q", word)
	}
	return err
}

func (o *options) at() signal.TimeRange {
	return signal.Between(base().Add(o.from), base().Add(o.to))
}

func (r *runner) do(command string, o options, input string, out *strings.Builder) error {
	ctx := r.t.Context()
	if command == "write" {
		return r.write(ctx, input)
	}
	if command == "tags" || command == "values" {
		return r.names(command, o, input, out)
	}
	q, err := Parse(input)
	if err != nil {
		return err
	}
	switch command {
	case "range", "instant":
		req := MetricsRequest{Query: q, Time: o.at(), Step: o.step, Exemplars: o.exemplar}
		if command == "instant" {
			req.Step = 0
		}
		result, err := r.engine.Metrics(ctx, p, req)
		if err == nil {
			writeSeries(out, result)
		}
		return err
	case "search":
		found, err := r.engine.Search(ctx, p, SearchRequest{Query: q, Time: o.at(), Limit: o.limit, SpansPerSet: o.spss})
		if err == nil {
			writeFound(out, found)
		}
		return err
	default:
		return fmt.Errorf("unknown command %q", command)
	}
}

func (r *runner) names(command string, o options, input string, out *strings.Builder) error {
	name, query, _ := strings.Cut(input, "\n")
	req := TagsRequest{Time: o.at(), Limit: o.limit}
	if command == "tags" {
		query = input
	}
	if query = strings.TrimSpace(query); query != "" {
		q, err := Parse(query)
		if err != nil {
			return err
		}
		req.Query = q
	}
	if command == "values" {
		a, err := ParseTag(name)
		if err != nil {
			return err
		}
		values, err := r.engine.Values(r.t.Context(), p, a, req)
		for _, v := range values {
			fmt.Fprintf(out, "%s %s\n", v.Type, v.Text)
		}
		return err
	}
	tags, err := r.engine.Tags(r.t.Context(), p, req)
	if err != nil {
		return err
	}
	for _, scope := range []struct {
		name string
		tags []string
	}{
		{"span", tags.Span},
		{"resource", tags.Resource},
		{"event", tags.Event},
		{"link", tags.Link},
		{"instrumentation", tags.Instrumentation},
	} {
		fmt.Fprintf(out, "%s: %s\n", scope.name, strings.Join(scope.tags, " "))
	}
	return nil
}

// writeSeries writes a line a series: its labels, then TIME:VALUE of its samples.
func writeSeries(out *strings.Builder, result *MetricsResult) {
	for _, s := range result.Series {
		out.WriteString("series" + pairsText(s.Labels) + "\n ")
		for _, sample := range s.Samples {
			fmt.Fprintf(out, " %s:%s", time.Duration(sample.Time-base().UnixNano()), strconv.FormatFloat(sample.Value, 'g', 6, 64))
		}
		for _, e := range s.Exemplars {
			fmt.Fprintf(out, " (%s:%s trace %s)", time.Duration(e.Time-base().UnixNano()), strconv.FormatFloat(e.Value, 'g', 6, 64), strings.TrimLeft(e.TraceID, "0"))
		}
		out.WriteString("\n")
	}
}

func (r *runner) write(ctx context.Context, text string) error {
	traces, _, err := teamtest.Parse(text)
	if err != nil {
		return err
	}
	rejected, err := identity.New(store.NewSink(r.db, nil)).Traces(ctx, p, traces)
	if err == nil && rejected.Items > 0 {
		err = fmt.Errorf("%d spans were rejected: %s", rejected.Items, rejected.Message())
	}
	if f, ok := r.db.(interface{ Flush() error }); ok && err == nil {
		err = f.Flush()
	}
	return err
}

func writeFound(out *strings.Builder, found *SearchResult) {
	for _, t := range found.Traces {
		fmt.Fprintf(out, "trace %s %s/%s at %s took %s", strings.TrimLeft(t.TraceID, "0"), t.RootService, t.RootName,
			time.Duration(t.Start-base().UnixNano()), time.Duration(t.Duration))
		for _, name := range unique(keys(t.Services)) {
			fmt.Fprintf(out, " %s:%d/%d", name, t.Services[name].Errors, t.Services[name].Spans)
		}
		out.WriteString("\n")
		for _, set := range t.Sets {
			fmt.Fprintf(out, "  %d matched%s\n", set.Matched, pairsText(set.Attributes))
			for _, s := range set.Spans {
				fmt.Fprintf(out, "    %s at %s took %s%s\n", s.Name, time.Duration(s.Start-base().UnixNano()), time.Duration(s.Duration), pairsText(s.Attributes))
			}
		}
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

func pairsText(pairs []Pair) string {
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, " %s=%s", p.Key, p.Value)
	}
	return b.String()
}
