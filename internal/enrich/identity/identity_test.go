package identity

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

type last struct {
	traces ptrace.Traces
	logs   plog.Logs
}

func (l *last) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	l.traces = td
	return signal.Rejected{}, nil
}

func (l *last) Logs(_ context.Context, _ signal.Project, ld plog.Logs) (signal.Rejected, error) {
	l.logs = ld
	return signal.Rejected{}, nil
}

func (l *last) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

// request makes one resource with a span of each attribute map, all in one trace.
func request(t *testing.T, res map[string]any, spans ...map[string]any) ptrace.Traces {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	if err := rs.Resource().Attributes().FromRaw(res); err != nil {
		t.Fatal(err)
	}
	ss := rs.ScopeSpans().AppendEmpty()
	for _, attrs := range spans {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1})
		if err := span.Attributes().FromRaw(attrs); err != nil {
			t.Fatal(err)
		}
	}
	return td
}

// columnsOf returns what the Sink adds to a span's attributes.
func columnsOf(t *testing.T, td ptrace.Traces, i int) map[string]any {
	t.Helper()
	got := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(i).Attributes().AsRaw()
	for k := range got {
		if len(k) < 10 || k[:10] != "mindscope." {
			delete(got, k)
		}
	}
	return got
}

func send(t *testing.T, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	next := &last{}
	if _, err := New(next).Traces(t.Context(), signal.DefaultProject, td); err != nil {
		t.Fatal(err)
	}
	return next.traces
}

func TestTraces(t *testing.T) {
	f := func(res, attrs, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, columnsOf(t, send(t, request(t, res, attrs)), 0)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	f(nil, nil, map[string]any{
		conv.MindscopeTeam: "default", conv.MindscopeTaskID: "01000000000000000000000000000000",
		conv.MindscopeTaskProvisional: true,
	})
	// The team of the resource, the task of the span.
	f(map[string]any{conv.ServiceNamespace: "news"}, map[string]any{conv.AITeamTaskID: "task-456", conv.AITeamTaskType: "article"},
		map[string]any{conv.MindscopeTeam: "news", conv.MindscopeTaskID: "task-456", conv.MindscopeTaskType: "article"})
	f(map[string]any{conv.ServiceNamespace: "news", conv.AITeamTeam: "desk", conv.AITeamTaskID: "t1"}, map[string]any{},
		map[string]any{conv.MindscopeTeam: "desk", conv.MindscopeTaskID: "t1"})
	f(map[string]any{conv.AITeamTeam: "desk"}, map[string]any{
		conv.AITeamTeam: "own", conv.AITeamTaskID: "t", conv.AITeamUserID: "u", conv.UserID: "other", conv.SessionID: "s",
		conv.AITeamQualityScore: 8.5,
	}, map[string]any{
		conv.MindscopeTeam: "own", conv.MindscopeTaskID: "t", conv.MindscopeUser: "u", conv.MindscopeConversation: "s",
		conv.MindscopeQuality: 8.5,
	})
	// What the dialect found stays, but the team's own task id is worth more.
	f(nil, map[string]any{
		conv.MindscopeTaskID: "dialect's", conv.AITeamTaskID: "team's", conv.MindscopeConversation: "c", conv.SessionID: "s",
		conv.MindscopeAgent: "writer",
	}, map[string]any{
		conv.MindscopeTeam: "default", conv.MindscopeTaskID: "team's", conv.MindscopeConversation: "c", conv.MindscopeAgent: "writer",
	})
	f(nil, map[string]any{conv.MindscopeTaskID: "task-456"},
		map[string]any{conv.MindscopeTeam: "default", conv.MindscopeTaskID: "task-456"})
	// A score that is no number is no score.
	f(nil, map[string]any{conv.AITeamTaskID: "t", conv.AITeamQualityScore: math.NaN()},
		map[string]any{conv.MindscopeTeam: "default", conv.MindscopeTaskID: "t"})
	f(nil, map[string]any{conv.AITeamTaskID: "t", conv.AITeamQualityScore: "high"},
		map[string]any{conv.MindscopeTeam: "default", conv.MindscopeTaskID: "t"})
}

// TestTaskOfTheTrace checks that spans without a task take the one of their trace when the request names exactly one.
func TestTaskOfTheTrace(t *testing.T) {
	named := func(task string) map[string]any { return map[string]any{conv.AITeamTaskID: task} }
	td := send(t, request(t, nil, nil, named("task-456"), nil))
	for i := range 3 {
		want := map[string]any{conv.MindscopeTeam: "default", conv.MindscopeTaskID: "task-456"}
		if i != 1 { // who names no task is marked
			want[conv.MindscopeTaskInherited] = true
		}
		if diff := cmp.Diff(want, columnsOf(t, td, i)); diff != "" {
			t.Errorf("span %d: %s", i, diff)
		}
	}
	td = send(t, request(t, nil, nil, named("a"), named("b"), named("a")))
	if got := columnsOf(t, td, 0)[conv.MindscopeTaskProvisional]; got != true {
		t.Errorf("a span between two tasks is provisional: %v", got)
	}
}

func TestEvaluationEventIsTheQuality(t *testing.T) {
	td := request(t, nil, map[string]any{conv.AITeamTaskID: "t"})
	events := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events()
	for _, score := range []float64{3, 7.5} {
		e := events.AppendEmpty()
		e.SetName(conv.EventGenAIEvaluationResult)
		e.Attributes().PutDouble(conv.GenAIEvaluationScoreValue, score)
	}
	if got := columnsOf(t, send(t, td), 0)[conv.MindscopeQuality]; got != 7.5 {
		t.Errorf("quality %v, want the newest, 7.5", got)
	}
}

func TestLogsOutsideOfTracesHaveNoTask(t *testing.T) {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	next := &last{}
	if _, err := New(next).Logs(t.Context(), signal.DefaultProject, ld); err != nil {
		t.Fatal(err)
	}
	got := next.logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
	if diff := cmp.Diff(map[string]any{conv.MindscopeTeam: "default"}, got); diff != "" {
		t.Error(diff)
	}
}
