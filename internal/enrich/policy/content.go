package policy

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// longText is the size from which any text on an agent's span counts as content, whatever its key: dialects that this
// release does not know keep their prompts somewhere too.
const longText = 512

// contentKeys returns the keys that hold what was said, asked, answered or handed to tools, in all dialects.
func contentKeys() map[string]bool {
	set := map[string]bool{}
	for key := range strings.FieldsSeq(`
		gen_ai.prompt gen_ai.completion gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions
		gen_ai.tool.definitions gen_ai.tool.call.arguments gen_ai.tool.call.result gen_ai.tool.args gen_ai.tool.output
		gen_ai.input gen_ai.output gen_ai.event.content gen_ai.retrieval.query.text gen_ai.retrieval.documents
		gen_ai.memory.query.text gen_ai.memory.records gen_ai.evaluation.explanation
		input output input.value output.value prompt response completion metadata.prompt
		langfuse.observation.input langfuse.observation.output langfuse.trace.input langfuse.trace.output
		gcp.vertex.agent.llm_request gcp.vertex.agent.llm_response gcp.vertex.agent.tool_call_args
		gcp.vertex.agent.tool_response gcp.vertex.agent.data
		genkit:input genkit:output mlflow.spanInputs mlflow.spanOutputs mlflow.chat.tools
		traceloop.entity.input traceloop.entity.output llm.prompts llm.completions llm.prompt_template.template
		llm.prompt_template.variables llm.function_call llm.request.functions llm.tools
		all_messages_events all_messages pydantic_ai.all_messages events final_result model_request_parameters
		tool_arguments tool_response tool.parameters request_data response_data
		ai.prompt ai.response.text ai.response.object ai.response.toolCalls ai.response.reasoning ai.result.text
		ai.result.object ai.result.toolCalls ai.schema ai.value ai.values ai.embedding ai.embeddings
		ai.toolCall.args ai.toolCall.result
		crew_agents crew_tasks tool_input tool_output tool_parameters tool_result arguments
	`) {
		set[key] = true
	}
	return set
}

// contentPrefixes begin the keys of flattened messages.
func contentPrefixes() []string {
	return []string{
		"gen_ai.prompt.", "gen_ai.completion.", "gen_ai.input.messages.", "gen_ai.output.messages.", "gen_ai.prompt.variable.",
		"llm.input_messages.", "llm.output_messages.", "llm.prompts.", "llm.completions.", "llm.tools.", "llm.request.functions.",
		"ai.prompt.", "retrieval.documents.", "embedding.embeddings.", "reranker.input_documents.", "reranker.output_documents.",
		"reranker.query", "message.",
	}
}

// keptPrefixes begin the keys of long texts that are no content: what went wrong and where.
func keptPrefixes() []string {
	return []string{
		"exception.", "error.", "code.", "db.", "url.", "http.", "mindscope.", "ai_team.", "server.", "messaging.", "rpc.",
		"otel.", "process.", "user_agent.", "langfuse.observation.usage_details", "langfuse.observation.cost_details",
	}
}

// usageKeys look like content by their prefix and are figures.
func usageKeys() map[string]bool {
	return map[string]bool{"ai.prompt.tokens": true, "gen_ai.prompt.name": true, "gen_ai.prompt.version": true}
}

// content tells what is content.
type content struct {
	keys, usage    map[string]bool
	prefixes, kept []string
}

func newContent() *content {
	return &content{keys: contentKeys(), usage: usageKeys(), prefixes: contentPrefixes(), kept: keptPrefixes()}
}

// attribute tells whether an attribute of an agent's span, or of an event on it, holds content.
func (c *content) attribute(key string, v pcommon.Value) bool {
	if c.keys[key] {
		return true
	}
	if c.usage[key] {
		return false
	}
	for _, p := range c.prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	// Mastra's old telemetry: agent.stream.argument.0, agent.stream.result.
	if strings.HasSuffix(key, ".result") || strings.Contains(key, ".argument.") {
		return v.Type() != pcommon.ValueTypeInt && v.Type() != pcommon.ValueTypeBool
	}
	if size(v) < longText {
		return false
	}
	for _, p := range c.kept {
		if strings.HasPrefix(key, p) {
			return false
		}
	}
	return true
}

// message tells whether an attribute of an event that is a message (gen_ai.user.message, gen_ai.choice) holds content.
func (c *content) message(key string, v pcommon.Value) bool {
	switch key {
	case "content", "tool_calls", "message", "arguments", "body":
		return true
	}
	return c.attribute(key, v)
}

// isMessage tells whether an event is one of the conventions' messages, whose body is content.
func isMessage(event string) bool { return strings.HasPrefix(event, "gen_ai.") }

// ofAgent tells whether an event is one of a coding agent's logs, which put what was said into plain keys.
func ofAgent(event string) bool {
	return strings.HasPrefix(event, "claude_code.") || strings.HasPrefix(event, "codex.") || strings.HasPrefix(event, "gemini_cli.")
}

// size returns how many bytes of text a value holds, as far as it matters.
func size(v pcommon.Value) int {
	n := 0
	switch v.Type() {
	case pcommon.ValueTypeStr:
		n = len(v.Str())
	case pcommon.ValueTypeBytes:
		n = v.Bytes().Len()
	case pcommon.ValueTypeMap:
		for k, e := range v.Map().All() {
			n += len(k) + size(e)
		}
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			n += size(e)
		}
	}
	return n
}
