package dialect

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
)

// fifteen makes requests of n spans with 15 attributes each, as an instrumentation of a model's client sends them.
func fifteen(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().SetName("opentelemetry.instrumentation.openai")
	for range n {
		s := ss.Spans().AppendEmpty()
		s.SetName("chat gpt-4o")
		a := s.Attributes()
		a.PutStr("gen_ai.operation.name", "chat")
		a.PutStr("gen_ai.provider.name", "openai")
		a.PutStr("gen_ai.request.model", "gpt-4o")
		a.PutStr("gen_ai.response.model", "gpt-4o-2024-08-06")
		a.PutStr("gen_ai.response.id", "chatcmpl-BhGJDsZlpk55owZCjMyJl8TOGqk0H")
		a.PutStr("gen_ai.agent.name", "writer")
		a.PutStr("gen_ai.conversation.id", "conv-5j66UpCpwteGg4YSxUnt7lPY")
		a.PutInt("gen_ai.usage.input_tokens", 1204)
		a.PutInt("gen_ai.usage.output_tokens", 812)
		a.PutDouble("gen_ai.request.temperature", 0.7)
		a.PutInt("gen_ai.request.max_tokens", 1024)
		a.PutStr("server.address", "api.openai.com")
		a.PutInt("server.port", 443)
		a.PutStr("ai_team.task.id", "task-456")
		a.PutStr("ai_team.task.type", "article")
	}
	return td
}

func BenchmarkSpan(b *testing.B) {
	s, err := New(&last{}, Config{})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 512
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		td := fifteen(batch)
		b.StartTimer()
		if _, err := s.Traces(b.Context(), signal.DefaultProject, td); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/span")
}
