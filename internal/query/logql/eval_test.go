package logql

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

var rewrite = flag.Bool("rewrite", false, "write the answers of the query tests into their files")

// Query tests are text: a command with its input, a line "----" and the answer, up to an empty line.
//
//	log                                   records, one a line: TIME SEVERITY key=value … | line
//	lines [from= to= limit= forward]      a query for lines
//	matrix from= to= step=                a metric query
//	instant at=                           the same at one instant
//	parse                                 how a query is read
//
// Times are durations after the base. Keys are attributes, those behind "r:" the resource's; trace, span and event are the
// record's own; "5h" as SEVERITY is a text, a number a number, "-" none.

// base is the time that the records' times count from.
var base = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)

func TestQueries(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d query tests: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, open := range stores {
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				s := &script{t: t, events: open(t)}
				s.engine = New(s.events, Config{})
				answered := s.run(string(text))
				if *rewrite && name == "memdb" {
					if err := os.WriteFile(file, []byte(answered), 0o600); err != nil {
						t.Fatal(err)
					}
					return
				}
				if diff := cmp.Diff(string(text), answered); diff != "" && !*rewrite {
					t.Errorf("answers differ (-file +%s):\n%s", name, diff)
				}
			})
		}
	}
}

var stores = map[string]func(t testing.TB) store.Events{
	"memdb": func(testing.TB) store.Events { return memdb.New(memdb.Config{}) },
	"eventdb": func(t testing.TB) store.Events {
		db, err := eventdb.Open(t.TempDir(), eventdb.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	},
}

type script struct {
	t      testing.TB
	events store.Events
	engine *Engine
}

func (s *script) run(text string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		question, _, ok := strings.Cut(block+"\n", "----\n")
		if !ok { // a comment
			out.WriteString(block + "\n\n")
			continue
		}
		out.WriteString(question + "----\n" + s.answer(question) + "\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func (s *script) answer(question string) string {
	head, input, _ := strings.Cut(question, "\n")
	words := strings.Fields(head)
	o := optionsOf(s.t, words[1:])
	query := strings.TrimSpace(input)
	if words[0] == "log" {
		return s.write(input)
	}
	expr, err := Parse(query)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if words[0] == "parse" {
		return expr.String() + "\n"
	}
	if log, ok := expr.(*LogExpr); ok {
		return s.lines(log, o)
	}
	steps := Steps{Start: o.from, End: o.to, Step: o.step}
	if words[0] == "instant" {
		steps = Instant(o.from)
	}
	m, err := s.engine.Matrix(s.t.Context(), signal.DefaultProject, expr, steps)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, one := range m.Series {
		fmt.Fprintf(&b, "%s", one.Labels)
		for _, p := range one.Points {
			fmt.Fprintf(&b, " %s:%s", after(p.At), strconv.FormatFloat(p.Value, 'g', 6, 64))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (s *script) lines(log *LogExpr, o options) string {
	lines, err := s.engine.Lines(s.t.Context(), signal.DefaultProject, log, signal.TimeRange{Start: o.from, End: o.to}, o.limit, o.forward)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, e := range lines.Entries {
		fmt.Fprintf(&b, "%s %s", after(e.At), e.Stream)
		if len(e.Metadata) > 0 {
			fmt.Fprintf(&b, " metadata%s", e.Metadata)
		}
		if len(e.Parsed) > 0 {
			fmt.Fprintf(&b, " parsed%s", e.Parsed)
		}
		fmt.Fprintf(&b, " %s\n", e.Line)
	}
	return b.String()
}

func after(at int64) string { return time.Duration(at - base.UnixNano()).String() }

type options struct {
	from, to int64
	step     time.Duration
	limit    int
	forward  bool
}

func optionsOf(t testing.TB, words []string) options {
	o := options{from: base.UnixNano(), to: base.Add(time.Hour).UnixNano(), limit: 100}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if key == "limit" {
			o.limit, _ = strconv.Atoi(value)
			continue
		}
		if key == "forward" {
			o.forward = true
			continue
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatalf("option %q: %v", w, err)
		}
		switch key {
		case "from", "at":
			o.from = base.Add(d).UnixNano()
		case "to":
			o.to = base.Add(d).UnixNano()
		case "step":
			o.step = d
		default:
			t.Fatalf("unknown option %q", w)
		}
	}
	return o
}

func (s *script) write(input string) string {
	ld := plog.NewLogs()
	lines := bufio.NewScanner(strings.NewReader(input))
	for lines.Scan() {
		if err := appendRecord(ld, lines.Text()); err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
	}
	return writeLogs(s.t, s.events, ld)
}

func writeLogs(t testing.TB, events store.Events, ld plog.Logs) string {
	t.Helper()
	rejected, err := events.Write(t.Context(), signal.DefaultProject, store.AppendLogRows(nil, ld))
	if err != nil || rejected.Items > 0 {
		return fmt.Sprintf("error: %v, %+v\n", err, rejected)
	}
	if db, ok := events.(*eventdb.DB); ok {
		db.Flush()
	}
	return ""
}

// appendRecord reads TIME SEVERITY key=value … | line.
func appendRecord(ld plog.Logs, text string) error {
	head, line, ok := strings.Cut(text, "| ")
	words := strings.Fields(head)
	if !ok || len(words) < 2 {
		return fmt.Errorf("%q: want TIME SEVERITY key=value … | line", text)
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	rl := ld.ResourceLogs().AppendEmpty()
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetTimestamp(pcommon.NewTimestampFromTime(base.Add(at)))
	if line != "" {
		rec.Body().SetStr(line)
	}
	if n, err := strconv.Atoi(words[1]); err == nil {
		rec.SetSeverityNumber(plog.SeverityNumber(n))
	} else if words[1] != "-" {
		rec.SetSeverityText(words[1])
	}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch attr, isResource := strings.CutPrefix(key, "r:"); {
		case isResource:
			rl.Resource().Attributes().PutStr(attr, value)
		case key == "trace":
			rec.SetTraceID(pcommon.TraceID{15: value[0]})
		case key == "span":
			rec.SetSpanID(pcommon.SpanID{7: value[0]})
		case key == "event":
			rec.SetEventName(value)
		default:
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				rec.Attributes().PutInt(key, n)
			} else {
				rec.Attributes().PutStr(key, value)
			}
		}
	}
	return nil
}
