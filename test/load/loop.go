package load

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// loopCalls is how many calls of its model the coding agent makes for a task.
const loopCalls = 60

// coder is one agent that reads, changes and tests code until it is done.
type coder struct {
	prose         *prose
	system, tools string
}

func newCoder(p *prose) *coder {
	return &coder{prose: p, system: p.text(6000), tools: p.toolDefinitions(12)}
}

// write adds the spans of a task: the task, the agent, its calls, and the tools it uses between them.
func (c *coder) write(t *trace) {
	p := c.prose
	t.begin("coder", "engineering", "change")
	root := t.span("execute_task change", ptrace.SpanKindInternal, pcommon.SpanID{})
	root.Attributes().PutStr("gen_ai.operation.name", "invoke_workflow")
	agent := t.span("invoke_agent coder", ptrace.SpanKindInternal, root.SpanID())
	agent.Attributes().PutStr("gen_ai.operation.name", "invoke_agent")
	agent.Attributes().PutStr("gen_ai.agent.name", "coder")
	system := instructions(c.system, "The folder is /srv/"+p.rare()+"/"+t.id+". The branch is "+p.rare()+".")
	conversation := []string{message("user", p.text(1200))}
	for i := range loopCalls {
		id := fmt.Sprintf("call_%016x", t.generator.ids.Uint64())
		tool, path := toolNames[p.rng.IntN(len(toolNames))], p.path()
		arguments := `{"path":"` + path + `","pattern":"` + p.rare() + `"}`
		says := toolCall(p.text(60+p.rng.IntN(300)), id, tool, arguments)
		if i == loopCalls-1 {
			says = message("assistant", p.text(1500))
		}
		t.chat(agent.SpanID(), call{
			agent: "coder", provider: "anthropic", model: "claude-sonnet-4-5", took: 4 * time.Second,
			system: system, tools: c.tools, input: array(conversation), says: array([]string{says}),
		})
		if i == loopCalls-1 {
			break
		}
		result := p.code(1400 + p.rng.IntN(1200))
		t.tool(agent.SpanID(), tool, id, arguments, result)
		conversation = append(conversation, says, toolResult(id, result))
	}
	root.Attributes().PutStr("ai_team.task.status", "completed")
	t.done(agent)
	t.done(root)
}

func (t *trace) tool(parent pcommon.SpanID, tool, id, arguments, result string) {
	s := t.span("execute_tool "+tool, ptrace.SpanKindInternal, parent)
	a := s.Attributes()
	a.PutStr("gen_ai.operation.name", "execute_tool")
	a.PutStr("gen_ai.tool.name", tool)
	a.PutStr("gen_ai.tool.type", "function")
	a.PutStr("gen_ai.tool.call.id", id)
	a.PutStr("gen_ai.agent.name", "coder")
	a.PutStr("gen_ai.tool.call.arguments", arguments)
	a.PutStr("gen_ai.tool.call.result", result)
	t.pass(400 * time.Millisecond)
	t.done(s)
}
