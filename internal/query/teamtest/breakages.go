package teamtest

import (
	"fmt"
	"regexp"
	"strings"
)

// Breakage is a healthy task in which one thing is broken, and what the ledger must say of it.
type Breakage struct {
	Name string
	// Lines is the scenario: one line a span or log record behind two that set service and team. Each can be sent alone.
	Lines []string
	// Hop, Agent, Kind and Text are the one finding, all "" for the healthy task; Score is in percent.
	Hop, Agent, Kind, Text string
	Score                  float64
}

// healthy is an article that a writer writes, a critic judges and the writer mends. Every line names its span, so that
// each can be taken out or sent alone. @ is the task's id; C and R are the attributes of a command and of a result.
const healthy = `execute_task | 0s 20s | id=1 @ gen_ai.operation.name=invoke_workflow gen_ai.agent.name=orchestrator ai_team.task.type=article outcome=completed ai_team.quality_score=8
"accepted" | 0s | span=1 @ gen_ai.agent.name=orchestrator
send cmd.writer | 1s 2ms | id=12 parent=1 @ C kind=producer messaging.message.id=m1 from=orchestrator to=writer
process agent.writer | 1100ms 3900ms | id=13 parent=12 @ C kind=consumer messaging.message.id=m1 from=orchestrator to=writer
invoke_agent writer | 1200ms 3400ms | id=14 parent=13 @ gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer
chat gpt-4o | 1300ms 2s | id=15 parent=14 @ kind=client gen_ai.operation.name=chat gen_ai.request.model=gpt-4o gen_ai.usage.input_tokens=1200 gen_ai.usage.output_tokens=800
INSERT task_steps | 3500ms 1ms | id=16 parent=14 @ kind=client db.system.name=sqlite db.collection.name=task_steps ai_team.record.table=task_steps ai_team.record.id=r1
save_artifact | 3600ms 1ms | id=17 parent=14 @ ai_team.artifact.key=drafts/draft-0.md ai_team.artifact.digest=sha256:d0 ai_team.artifact.size=800
"draft written" | 3700ms | span=14 @ gen_ai.agent.name=writer
send res.orchestrator.writer | 4700ms 1ms | id=18 parent=13 @ R kind=producer messaging.message.id=m2 messaging.message.conversation_id=m1 from=writer to=orchestrator
process reply.orchestrator | 4800ms 1ms | id=19 parent=18 @ R kind=consumer messaging.message.id=m2 messaging.message.conversation_id=m1 from=writer to=orchestrator
send cmd.critic | 5s 2ms | id=22 parent=1 @ C kind=producer messaging.message.id=m3 from=orchestrator to=critic
process agent.critic | 5100ms 3900ms | id=23 parent=22 @ C kind=consumer messaging.message.id=m3 from=orchestrator to=critic
invoke_agent critic | 5200ms 3400ms | id=24 parent=23 @ gen_ai.operation.name=invoke_agent gen_ai.agent.name=critic ai_team.quality_score=6
chat claude-sonnet-4-5 | 5300ms 2s | id=25 parent=24 @ kind=client gen_ai.operation.name=chat gen_ai.agent.name=critic gen_ai.request.model=claude-sonnet-4-5 gen_ai.usage.input_tokens=900 gen_ai.usage.output_tokens=10
"judged" | 7700ms | span=23 @ gen_ai.agent.name=critic
send res.orchestrator.critic | 8700ms 1ms | id=28 parent=23 @ R kind=producer messaging.message.id=m4 messaging.message.conversation_id=m3 from=critic to=orchestrator
process reply.orchestrator | 8800ms 1ms | id=29 parent=28 @ R kind=consumer messaging.message.id=m4 messaging.message.conversation_id=m3 from=critic to=orchestrator
send cmd.writer | 9s 2ms | id=32 parent=1 @ C kind=producer messaging.message.id=m5 from=orchestrator to=writer
process agent.writer | 9100ms 3900ms | id=33 parent=32 @ C kind=consumer messaging.message.id=m5 from=orchestrator to=writer
invoke_agent writer | 9200ms 3400ms | id=34 parent=33 @ gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer
chat gpt-4o | 9300ms 2s | id=35 parent=34 @ kind=client gen_ai.operation.name=chat gen_ai.request.model=gpt-4o gen_ai.usage.input_tokens=1300 gen_ai.usage.output_tokens=820
INSERT task_steps | 11500ms 1ms | id=36 parent=34 @ kind=client db.system.name=sqlite db.collection.name=task_steps ai_team.record.table=task_steps ai_team.record.id=r2
save_artifact | 11600ms 1ms | id=37 parent=34 @ ai_team.artifact.key=drafts/draft-1.md ai_team.artifact.digest=sha256:d1 ai_team.artifact.size=820
"draft written" | 11700ms | span=34 @ gen_ai.agent.name=writer
send res.orchestrator.writer | 12700ms 1ms | id=38 parent=33 @ R kind=producer messaging.message.id=m6 messaging.message.conversation_id=m5 from=writer to=orchestrator
process reply.orchestrator | 12800ms 1ms | id=39 parent=38 @ R kind=consumer messaging.message.id=m6 messaging.message.conversation_id=m5 from=writer to=orchestrator`

// story is a scenario that is being changed.
type story []string

// without takes out the spans of these ids and the log records in them.
func (s story) without(ids ...string) story {
	var out story
	for _, line := range s {
		if !is(line, ids...) {
			out = append(out, line)
		}
	}
	return out
}

// change replaces a text in the lines of these spans and the log records in them.
func (s story) change(from, to string, ids ...string) story {
	out := append(story{}, s...)
	for i, line := range out {
		if is(line, ids...) {
			out[i] = strings.ReplaceAll(line, from, to)
		}
	}
	return out
}

// later moves spans by an hour.
func (s story) later(ids ...string) story {
	out := append(story{}, s...)
	for i, line := range out {
		if is(line, ids...) {
			out[i] = regexp.MustCompile(`\| (\d)`).ReplaceAllString(line, "| 1h$1")
		}
	}
	return out
}

func is(line string, ids ...string) bool {
	for _, id := range ids {
		if strings.Contains(line, "| id="+id+" ") || strings.Contains(line, "| span="+id+" ") {
			return true
		}
	}
	return false
}

// Breakages returns the healthy task, first, and the twelve ways to break it. Traces of the n-th are numbered from n·16 on.
func Breakages() []Breakage {
	base := story(strings.Split(healthy, "\n"))
	second := []string{"33", "34", "35", "36", "37", "38", "39"} // what the writer did at the second command
	answerTwice := append(append(story{}, base...),
		"send res.orchestrator.writer | 12900ms 1ms | id=48 parent=33 @ R kind=producer messaging.message.id=m7 messaging.message.conversation_id=m5 from=writer to=orchestrator",
		"process reply.orchestrator | 13s 1ms | id=49 parent=48 @ R kind=consumer messaging.message.id=m7 messaging.message.conversation_id=m5 from=writer to=orchestrator")
	newTrace := base.change(" @", "", second...).change(" parent=32", "", "33").change("| id=", "| trace=2 id=", second...).change("| span=", "| trace=2 span=", "34")
	var out []Breakage
	add := func(name string, s story, hop, agent, kind, text string, score float64) {
		n := len(out)
		out = append(out, Breakage{
			Name: name, Lines: s.lines(n), Hop: hop, Agent: agent, Kind: kind, Score: score,
			Text: strings.NewReplacer("TRACE1", hexTrace(n*16+1), "TRACE2", hexTrace(n*16+2)).Replace(text),
		})
	}
	add("healthy", base, "", "", "", "", 100)
	add("sent and never consumed", base.without(second...), "message", "writer", "not_consumed",
		"orchestrator's COMMAND to writer was sent and never consumed", 96.6)
	add("consumed and never answered", base.without("38", "39"), "message", "writer", "not_answered",
		"writer consumed orchestrator's COMMAND and never answered", 97.2)
	add("answered twice", answerTwice, "message", "writer", "answered_twice",
		"writer answered orchestrator's COMMAND twice", 97.6)
	add("LLM call without usage", base.change(" gen_ai.usage.input_tokens=900 gen_ai.usage.output_tokens=10", "", "25"), "llm", "critic", "no_usage",
		"1 call of critic (claude-sonnet-4-5) reports no tokens", 94.4)
	add("record without ids", base.change(" @", "", "36"), "record", "writer", "no_task_id",
		"1 record of writer (task_steps) does not carry the task's id", 91.6)
	add("artifact without ids", base.change(" @", "", "37"), "artifact", "writer", "no_task_id",
		"1 artifact of writer (draft-1.md) does not carry the task's id", 91.6)
	add("log lines without ids", base.logs(" @", ""), "log", "writer", "no_task_id",
		"2 log lines of writer do not carry the task's id", 91.6)
	add("orphan span", base.without("24"), "span", "critic", "orphan",
		"1 span of critic (chat claude-sonnet-4-5) hangs under a span that never arrived", 95.8)
	add("missing root", base.without("1"), "span", "orchestrator", "missing_root",
		"the root of trace TRACE1 never arrived; 3 spans hang under it", 95.8)
	add("new trace instead of continuing", newTrace, "message", "writer", "new_trace",
		"writer took orchestrator's COMMAND and began trace TRACE2 instead of continuing TRACE1", 63.8)
	add("task id dropped", base.change(" @", "", "34", "35", "36", "37"), "message", "writer", "no_task_id",
		"writer dropped the task's id: 4 spans from invoke_agent writer on do not carry it", 69.4)
	add("clock an hour off", base.later("13", "14", "15", "16", "17", "18", "33", "34", "35", "36", "37", "38"), "message", "writer", "clock",
		"the clock of writer is 1 h ahead of orchestrator's", 88.8)
	return out
}

// logs replaces a text in the writer's log records.
func (s story) logs(from, to string) story {
	out := append(story{}, s...)
	for i, line := range out {
		if strings.HasPrefix(line, `"draft written"`) {
			out[i] = strings.ReplaceAll(line, from, to)
		}
	}
	return out
}

// TaskOf is the task's id of the n-th breakage.
func TaskOf(n int) string { return fmt.Sprintf("task-%d", 900+n) }

func hexTrace(n int) string { return fmt.Sprintf("%032x", n) }

// lines spells a story out. Each line stands for itself: it sets service, team and trace.
func (s story) lines(n int) []string {
	spell := strings.NewReplacer(" @", " ai_team.task.id="+TaskOf(n),
		" C ", " ai_team.message.type=COMMAND ", " R ", " ai_team.message.type=RESULT ",
		"message.id=m", fmt.Sprintf("message.id=b%d-m", n), "conversation_id=m", fmt.Sprintf("conversation_id=b%d-m", n))
	out := make([]string, 0, len(s))
	for _, line := range s {
		trace := n*16 + 1
		if strings.Contains(line, "| trace=2 ") {
			line, trace = strings.ReplaceAll(line, "| trace=2 ", "| "), trace+1
		}
		out = append(out, fmt.Sprintf("service newsroom\nresource ai_team.team=press\ntrace %x\n%s\n", trace, spell.Replace(line)))
	}
	return out
}
