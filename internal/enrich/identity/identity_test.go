package identity

import (
	"context"
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

func TestTraces(t *testing.T) {
	trace := pcommon.TraceID{1}
	f := func(res, attrs, want map[string]any) {
		t.Helper()
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(trace)
		if err := rs.Resource().Attributes().FromRaw(res); err != nil {
			t.Fatal(err)
		}
		if err := span.Attributes().FromRaw(attrs); err != nil {
			t.Fatal(err)
		}
		next := &last{}
		if _, err := New(next).Traces(t.Context(), signal.DefaultProject, td); err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for k, v := range next.traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().All() {
			if isInternal(k) {
				got[k] = v.AsRaw()
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	provisional := map[string]any{
		conv.MindscopeTeam: "default", conv.MindscopeTaskID: "01000000000000000000000000000000",
		conv.MindscopeTaskProvisional: true,
	}
	f(nil, nil, provisional)
	// A forged column is removed.
	f(nil, map[string]any{conv.MindscopeCostMicroUSD: int64(1), conv.MindscopeTaskID: "x"}, provisional)
	// The team of the resource, the task of the span.
	f(map[string]any{conv.ServiceNamespace: "news"}, map[string]any{conv.AITeamTaskID: "task-456", conv.AITeamTaskType: "article"},
		map[string]any{conv.MindscopeTeam: "news", conv.MindscopeTaskID: "task-456", conv.MindscopeTaskType: "article"})
	// Tokens become disjoint; the response's model wins.
	f(nil, map[string]any{
		conv.AITeamTaskID: "t", conv.AITeamTeam: "a", conv.GenAIOperationName: "chat", conv.GenAIAgentName: "writer",
		conv.GenAIRequestModel: "gpt-4o", conv.GenAIResponseModel: "gpt-4o-2024-08-06", conv.GenAIProviderName: "openai",
		conv.GenAIUsageInputTokens: int64(100), conv.GenAIUsageCacheReadInputTokens: int64(60),
		conv.GenAIUsageOutputTokens: int64(50), conv.GenAIUsageReasoningOutputTokens: int64(20),
		conv.AITeamQualityScore: 8.5, conv.AITeamUserID: "u", conv.SessionID: "s",
	}, map[string]any{
		conv.MindscopeTeam: "a", conv.MindscopeTaskID: "t", conv.MindscopeOperation: "chat", conv.MindscopeAgent: "writer",
		conv.MindscopeModel: "gpt-4o-2024-08-06", conv.MindscopeProvider: "openai", conv.MindscopeUser: "u",
		conv.MindscopeConversation: "s", conv.MindscopeQuality: 8.5,
		conv.MindscopeTokensInput: int64(40), conv.MindscopeTokensCacheRead: int64(60),
		conv.MindscopeTokensOutput: int64(30), conv.MindscopeTokensReasoning: int64(20),
	})
	// A negative count is no count; cached tokens beyond the input don't make it negative.
	f(nil, map[string]any{conv.AITeamTaskID: "t", conv.GenAIUsageInputTokens: int64(-5)},
		map[string]any{conv.MindscopeTeam: "default", conv.MindscopeTaskID: "t"})
	f(nil, map[string]any{
		conv.AITeamTaskID: "t", conv.GenAIUsageInputTokens: int64(5), conv.GenAIUsageCacheReadInputTokens: int64(9),
	}, map[string]any{
		conv.MindscopeTeam: "default", conv.MindscopeTaskID: "t", conv.MindscopeTokensInput: int64(0),
		conv.MindscopeTokensCacheRead: int64(9), conv.MindscopeTokensOutput: int64(0),
	})
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
