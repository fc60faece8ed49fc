package load

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// newsroom is a team of four that writes articles: each agent works on what the one before made.
type newsroom struct {
	prose  *prose
	agents []member
}

// member is an agent with its constant instructions.
type member struct{ name, model, provider, system string }

func newNewsroom(p *prose) *newsroom {
	n := &newsroom{prose: p}
	for _, a := range []struct{ name, model, provider string }{
		{"orchestrator", "gpt-4o-mini", "openai"},
		{"researcher", "gpt-4o", "openai"},
		{"writer", "claude-sonnet-4-5", "anthropic"},
		{"critic", "gpt-4o-mini", "openai"},
	} {
		n.agents = append(n.agents, member{a.name, a.model, a.provider, instructions(p.text(1400))})
	}
	return n
}

// write adds the 21 spans of an article.
func (n *newsroom) write(t *trace) {
	p := n.prose
	t.begin("newsroom", "newsroom", "article")
	topic := p.rare() + " " + p.rare() + " and " + p.rare()
	root := t.span("execute_task article", ptrace.SpanKindInternal, pcommon.SpanID{})
	root.Attributes().PutStr("gen_ai.operation.name", "invoke_workflow")
	brief := "Write an article about " + topic + ". " + p.text(500)
	work := brief
	for i, m := range n.agents {
		if i > 0 {
			t.message(root.SpanID(), n.agents[i-1].name, m.name)
		}
		work = n.turn(t, m, root.SpanID(), brief, work)
	}
	t.small(root.SpanID(), "INSERT articles", ptrace.SpanKindClient, 8*time.Millisecond,
		"db.system.name", "postgresql", "db.operation.name", "INSERT", "ai_team.record.table", "articles", "ai_team.record.id", t.id)
	t.small(root.SpanID(), "save_artifact", ptrace.SpanKindInternal, 15*time.Millisecond,
		"ai_team.artifact.id", "article-"+t.id, "ai_team.artifact.media_type", "text/markdown")
	root.Attributes().PutStr("ai_team.task.status", "completed")
	root.Attributes().PutDouble("ai_team.quality_score", float64(60+p.rng.IntN(40))/10)
	root.Status().SetCode(ptrace.StatusCodeOk)
	t.done(root)
}

// turn adds an agent's span with its two calls and returns what the agent made of the work.
func (n *newsroom) turn(t *trace, m member, parent pcommon.SpanID, brief, work string) string {
	p := n.prose
	s := t.span("invoke_agent "+m.name, ptrace.SpanKindInternal, parent)
	s.Attributes().PutStr("gen_ai.operation.name", "invoke_agent")
	s.Attributes().PutStr("gen_ai.agent.name", m.name)
	c := call{agent: m.name, provider: m.provider, model: m.model, system: m.system, took: 2 * time.Second}
	ask := message("user", brief+"\n\nWhat you have so far:\n\n"+work)
	first := p.text(900)
	c.input, c.says = array([]string{ask}), array([]string{message("assistant", first)})
	t.chat(s.SpanID(), c)
	made := p.text(1800)
	c.input = array([]string{ask, message("assistant", first), message("user", "Now finish it. "+p.text(150))})
	c.says = array([]string{message("assistant", made)})
	t.chat(s.SpanID(), c)
	t.done(s)
	return made
}

// message adds the two spans of a message on the bus.
func (t *trace) message(parent pcommon.SpanID, from, to string) {
	send := t.span("send cmd."+to, ptrace.SpanKindProducer, parent)
	process := t.span("process cmd."+to, ptrace.SpanKindConsumer, send.SpanID())
	for _, s := range []ptrace.Span{send, process} {
		a := s.Attributes()
		a.PutStr("messaging.system", "rabbitmq")
		a.PutStr("messaging.destination.name", "mindbus.main")
		a.PutStr("messaging.message.id", fmt.Sprintf("%016x", t.generator.ids.Uint64()))
		a.PutStr("ai_team.message.type", "COMMAND")
		a.PutStr("ai_team.message.from_agent", from)
		a.PutStr("ai_team.message.to_agent", to)
		t.pass(3 * time.Millisecond)
		t.done(s)
	}
}

// small adds a span whose attributes are pairs of a name and a text.
func (t *trace) small(parent pcommon.SpanID, name string, kind ptrace.SpanKind, took time.Duration, attrs ...string) {
	s := t.span(name, kind, parent)
	for i := 0; i+1 < len(attrs); i += 2 {
		s.Attributes().PutStr(attrs[i], attrs[i+1])
	}
	t.pass(took)
	t.done(s)
}
