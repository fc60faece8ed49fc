package tasklog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/sdktest"
	"github.com/mindscope/mindscope/sdk/tasklog"
)

// TestConforms: what slog demands of every handler.
func TestConforms(t *testing.T) {
	var b bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return tasklog.NewHandler(slog.NewJSONHandler(&b, nil))
	}, func(t *testing.T) map[string]any { return line(t, &b) })
}

func line(t *testing.T, b *bytes.Buffer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b.Bytes(), &m); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return m
}

func TestIDs(t *testing.T) {
	rec := sdktest.New(t)
	f := func(ctx context.Context, log func(*slog.Logger) *slog.Logger, want ...string) {
		t.Helper()
		var b bytes.Buffer
		log(slog.New(tasklog.NewHandler(slog.NewJSONHandler(&b, nil)))).InfoContext(ctx, "hello", "n", 1)
		var got []string
		for name, v := range line(t, &b) {
			if s, ok := v.(string); ok && strings.HasSuffix(name, "_id") || name == tasklog.AgentKey || name == "group" {
				if group, nested := v.(map[string]any); nested {
					s = strings.TrimSpace(strings.Join(keys(group), " "))
				}
				got = append(got, name+"="+s)
			}
		}
		sortStrings := cmp.Transformer("set", func(s []string) map[string]bool {
			m := map[string]bool{}
			for _, v := range s {
				m[v] = true
			}
			return m
		})
		if diff := cmp.Diff(want, got, sortStrings); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", &b, diff)
		}
	}
	plain := func(l *slog.Logger) *slog.Logger { return l }
	grouped := func(l *slog.Logger) *slog.Logger { return l.WithGroup("group").With("a", 1) }
	f(t.Context(), plain)
	f(t.Context(), grouped, "group=a n")
	f(sdk.JoinTask(t.Context(), "task-1"), plain, "task_id=task-1")
	ctx, task := sdk.StartTask(t.Context(), "task-1")
	defer task.End(nil)
	sc := task.Span().SpanContext()
	ids := []string{"trace_id=" + sc.TraceID().String(), "span_id=" + sc.SpanID().String(), "task_id=task-1"}
	f(ctx, plain, ids...)
	// The ids stay at the top, where they are looked for, whatever groups are open.
	f(ctx, grouped, append(ids, "group=a n")...)
	ctx, agent := sdk.StartAgent(ctx, "writer")
	defer agent.End(nil)
	sc = agent.Span().SpanContext()
	f(ctx, plain, "trace_id="+sc.TraceID().String(), "span_id="+sc.SpanID().String(), "task_id=task-1", "agent=writer")

	// The same lines went to OpenTelemetry, with the ids as its own fields and the task as an attribute.
	lines := bodies(rec.Logs())
	if len(lines) != 6 {
		t.Fatalf("%d records reached OpenTelemetry, want 6", len(lines))
	}
	last := lines[5]
	if last.SpanID() != sc.SpanID() || last.TraceID() != sc.TraceID() {
		t.Errorf("the record is on span %s of trace %s", last.SpanID(), last.TraceID())
	}
	if got := attr(last, "ai_team.task.id"); got != "task-1" {
		t.Errorf("the record's task is %q", got)
	}
	if got := attr(last, "gen_ai.agent.name"); got != "writer" {
		t.Errorf("the record's agent is %q", got)
	}
}

func keys(m map[string]any) []string {
	var all []string
	for _, k := range []string{"a", "n"} {
		if _, ok := m[k]; ok {
			all = append(all, k)
		}
	}
	return all
}

// bodies leaves out start records and heartbeats, which have none.
func bodies(all []sdklog.Record) []sdklog.Record {
	var lines []sdklog.Record
	for _, r := range all {
		if r.Body().AsString() != "" {
			lines = append(lines, r)
		}
	}
	return lines
}

func attr(r sdklog.Record, key string) string {
	found := ""
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		if string(kv.Key) == key {
			found = kv.Value.AsString()
		}
		return true
	})
	return found
}

func TestLevels(t *testing.T) {
	rec := sdktest.New(t)
	var b bytes.Buffer
	l := slog.New(tasklog.NewHandler(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn})))
	l.Info("too quiet")
	l.Error("loud")
	lines := bodies(rec.Logs())
	if len(lines) != 1 || lines[0].Body().AsString() != "loud" || lines[0].Severity().String() != "ERROR" {
		t.Errorf("OpenTelemetry got %v", lines)
	}
}

// full is a handler that can't write.
type full struct{ slog.Handler }

func (full) Enabled(context.Context, slog.Level) bool { return true }

func (full) Handle(context.Context, slog.Record) error { return errFull }

var errFull = errors.New("disk is full")

// TestNextFails: a line that can't be written still reaches OpenTelemetry, and the error its caller.
func TestNextFails(t *testing.T) {
	rec := sdktest.New(t)
	err := tasklog.NewHandler(full{}).Handle(t.Context(), slog.Record{Message: "hello", Level: slog.LevelInfo})
	if !errors.Is(err, errFull) {
		t.Errorf("Handle returns %v", err)
	}
	if n := len(bodies(rec.Logs())); n != 1 {
		t.Errorf("%d records reached OpenTelemetry, want 1", n)
	}
}
