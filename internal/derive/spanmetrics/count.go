package spanmetrics

import (
	"cmp"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// started counts an attempt that began.
func (m *Metrics) started(p signal.Project, s *span, now int64) {
	m.owners.note(p, s)
	if s.sdkMetrics || !strings.HasPrefix(s.startName, "execute_task") && s.operation != "invoke_workflow" {
		m.flight.follow(p, s, now) // a running agent is a sign of life, and in progress is the server's to tell
		return
	}
	m.open(p, s, now)
}

// open follows an attempt and counts it as accepted, unless that was done before.
func (m *Metrics) open(p signal.Project, s *span, now int64) {
	opened, dropped := m.flight.open(p, s, now)
	if opened {
		m.add(string(p), s.team, conv.PromAITeamTasksTotal, 1, exemplar{}, "pending")
	}
	if dropped != nil {
		m.overflows++
		m.add(dropped.Project, dropped.Team, conv.PromAITeamTasksTotal, 1, exemplar{}, "failed")
	}
}

// found counts what the ledger found. Each finding is a row once, and a row is committed once.
func (m *Metrics) found(p signal.Project, r *store.Row) {
	e := exemplar{trace: strings.Clone(r.Text(store.FieldTraceID)), span: strings.Clone(r.Text(store.FieldSpanID)), at: r.Time}
	m.add(string(p), strings.Clone(r.Text(store.FieldTeam)), conv.PromAITeamHopsMissingTotal, 1, e, strings.Clone(r.Text(store.FieldHop)))
}

// count counts what an ended span tells.
func (m *Metrics) count(p signal.Project, s *span, now int64) {
	project, e := string(p), s.exemplar()
	m.owners.note(p, s)
	above := m.below.has(s.trace, s.id)
	usage := !above && (s.inference() || s.hasTokens)
	if s.parent != "" && (above || s.inference()) {
		m.below.add(s.trace, s.parent)
	}
	if usage {
		m.money(project, s, e)
	}
	m.edges(project, s, e)
	m.nest(project, s)
	m.spans(project, s, e)
	if s.sdkMetrics {
		return // its sender counts the rest
	}
	if s.attempt() {
		m.ended(p, s, e, now)
	}
	if usage && s.inference() {
		m.call(project, s, e)
		m.genai(project, s, e)
	}
	if usage {
		m.used(project, s)
	}
	switch {
	case s.operation == "invoke_agent":
		m.agent(project, s, e)
	case s.kind == "producer" && (s.messageType != "" || s.to != ""):
		m.add(project, s.team, conv.PromAITeamMessagesTotal, 1, e, s.from, s.to, s.messageType)
	case s.kind == "consumer" && s.hasWait:
		m.observe(project, s.team, conv.PromAITeamMessageWaitSeconds, max(0, s.wait/1000), e, cmp.Or(s.to, s.agent))
	case s.table != "":
		m.add(project, s.team, conv.PromAITeamRecordsTotal, 1, e, s.agent)
	case s.artifact != "" && !strings.HasPrefix(s.name, "load_artifact"):
		m.add(project, s.team, conv.PromAITeamArtifactsTotal, 1, e, s.agent)
	}
}

// ended counts the outcome of an attempt, once.
func (m *Metrics) ended(p signal.Project, s *span, e exemplar, now int64) {
	project := string(p)
	m.open(p, s, now) // of a sender without start records this is the first that is heard of it
	if !m.flight.close(p, s, now) {
		return // it counted as failed when it was lost
	}
	m.add(project, s.team, conv.PromAITeamTasksTotal, 1, e, s.result())
	m.observe(project, s.team, conv.PromAITeamTaskDurationSeconds, s.seconds(), e, s.taskType)
	if s.hasQuality {
		m.observe(project, s.team, conv.PromAITeamQualityScore, s.quality, e)
	}
}

// money counts what only the server knows: cost, and calls without one.
func (m *Metrics) money(project string, s *span, e exemplar) {
	switch {
	case s.hasCost:
		m.addExact(project, s.team, conv.PromAITeamLLMCostDollarsTotal, s.cost, e, s.model)
		m.addExact(project, s.team, conv.PromAITeamAgentCostDollarsTotal, s.cost, e, s.agent)
	case s.inference():
		m.add(project, s.team, conv.PromAITeamPriceMissesTotal, 1, e, s.model)
	}
}

func (m *Metrics) call(project string, s *span, e exemplar) {
	m.add(project, s.team, conv.PromAITeamLLMCallsTotal, 1, e, s.model, s.agent)
	m.observe(project, s.team, conv.PromAITeamLLMLatencySeconds, s.seconds(), e, s.model)
	if s.failed() {
		m.add(project, s.team, conv.PromAITeamLLMErrorsTotal, 1, e, s.model, s.agent, s.errorOr())
	}
}

func (m *Metrics) used(project string, s *span) {
	for i, kind := range tokenTypes() {
		if s.tokens[i] > 0 {
			m.add(project, s.team, conv.PromAITeamLLMTokensTotal, float64(s.tokens[i]), exemplar{}, s.model, s.agent, kind)
		}
	}
}

func (m *Metrics) agent(project string, s *span, e exemplar) {
	m.add(project, s.team, conv.PromAITeamAgentCallsTotal, 1, e, s.agent, s.result())
	m.observe(project, s.team, conv.PromAITeamAgentDurationSeconds, s.seconds(), e, s.agent)
	if s.hasQuality {
		m.observe(project, s.team, conv.PromAITeamAgentQualityScore, s.quality, e, s.agent)
	}
}

// edges draws the service graph: who works for whom. An agent that was called over the bus is known by the message's
// sender, one that was called in the same process by the agent's span above it (nest); a tool and a provider by the span
// that called them.
func (m *Metrics) edges(project string, s *span, e exemplar) {
	client, server, kind := "", "", ""
	switch {
	case s.kind == "consumer" && s.from != "" && cmp.Or(s.to, s.agent) != "":
		client, server, kind = s.from, cmp.Or(s.to, s.agent), "messaging_system"
	case s.operation == "execute_tool" && s.tool != "":
		client, server, kind = cmp.Or(s.agent, s.service), s.tool, "virtual_node"
	case s.inference() && s.provider != "":
		client, server, kind = cmp.Or(s.agent, s.service), s.provider, "virtual_node"
	default:
		return
	}
	m.edge(project, s.team, e, s.seconds(), s.failed(), client, server, kind)
}

// edge counts one call between two.
func (m *Metrics) edge(project, team string, e exemplar, seconds float64, failed bool, client, server, kind string) {
	m.add(project, team, graphTotal, 1, e, client, server, kind)
	if failed {
		m.add(project, team, graphFailed, 1, e, client, server, kind)
	}
	m.observe(project, team, graphSeconds, seconds, e, client, server, kind)
}

// spans counts each span under a name that holds no ids.
func (m *Metrics) spans(project string, s *span, e exemplar) {
	name, kind, status := spanName(s), kindName(s.kind), statusName(s.status)
	m.add(project, s.team, spansCalls, 1, e, s.service, name, kind, status)
	m.observe(project, s.team, spansLatency, s.seconds(), e, s.service, name, kind, status)
}

// kindName and statusName are how Tempo writes them. They are switches because this is done for every span.
func kindName(kind string) string {
	switch kind {
	case "internal":
		return "SPAN_KIND_INTERNAL"
	case "client":
		return "SPAN_KIND_CLIENT"
	case "server":
		return "SPAN_KIND_SERVER"
	case "producer":
		return "SPAN_KIND_PRODUCER"
	case "consumer":
		return "SPAN_KIND_CONSUMER"
	}
	return "SPAN_KIND_" + strings.ToUpper(kind)
}

func statusName(status string) string {
	switch status {
	case "unset":
		return "STATUS_CODE_UNSET"
	case "error":
		return "STATUS_CODE_ERROR"
	case "ok":
		return "STATUS_CODE_OK"
	}
	return "STATUS_CODE_" + strings.ToUpper(status)
}

// spanName is a span's name; those of messages, tools and models by their operation and what it is on.
func spanName(s *span) string {
	if s.inference() && s.model != "" {
		return s.operation + " " + s.model
	}
	return s.name
}
