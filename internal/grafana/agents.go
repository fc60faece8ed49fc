package grafana

import "github.com/mindscope/mindscope/internal/conv"

// agentPerformance is the mission's third dashboard.
func agentPerformance() board {
	const (
		calls    = conv.PromAITeamAgentCallsTotal
		quality  = conv.PromAITeamAgentQualityScore
		duration = conv.PromAITeamAgentDurationSeconds
		ended    = `status=~"completed|failed"`
	)
	return board{
		uid: "mindscope-agents", title: "Agent Performance", tags: []string{"agents"}, perTeam: true, vars: []string{"agent", "model"},
		text: "The members of the team: how much they do, how well and at what price.",
		rows: []row{
			{"", []panel{
				{
					title: "Calls of each agent", kind: "bargauge", unit: "short", decimals: -1, width: 8, height: 9,
					text: "Times that each agent was called in the time range.",
					queries: []query{{source: metrics, instant: true, legend: "{{agent}}", per: func(r reading) string {
						return r.sumTotal("agent", calls)
					}}},
					links: []dataLink{tracesOfAgent()},
				},
				{
					title: "Success rate", kind: "bargauge", unit: "percentunit", decimals: 1, width: 8, height: 9, min: new(0.0), max: new(1.0),
					text: "Calls of the time range that were completed, among those that were completed or failed, by agent. Cancelled ones are in neither.",
					queries: []query{{source: metrics, instant: true, legend: "{{agent}}", per: func(r reading) string {
						all := r.sumTotal("agent", calls, ended)
						return "1 - (" + r.sumTotal("agent", calls, `status="failed"`) + " or " + all + " * 0) / (" + all + " > 0)"
					}}},
					alarm: []float64{0.8, 0.95}, good: true,
					links: []dataLink{tracesOf("Failures of this agent", `{ span.gen_ai.agent.name = "`+label("agent")+`" && status = error }`)},
				},
				{
					title: "Average quality score", kind: "bargauge", unit: "short", decimals: 1, width: 8, height: 9, min: new(0.0), max: new(10.0),
					text: "Mean of the scores that judges gave for the agent's work in the time range, 0 to 10. A judge's own score is of the work it judged.",
					queries: []query{{source: metrics, instant: true, legend: "{{agent}}", per: func(r reading) string {
						return r.sumTotal("agent", quality+"_sum") + " / (" + r.sumTotal("agent", quality+"_count") + " > 0)"
					}}},
					alarm: []float64{4, 7}, good: true,
					links: []dataLink{tracesOfAgent()},
				},
			}},
			{"Work", []panel{
				{
					title: "Calls by outcome", kind: "timeseries", unit: "cpm", width: 8, height: 8,
					text: "Calls of agents a minute, by how they ended.",
					queries: []query{{source: metrics, legend: "{{status}}", exemplars: true, per: func(r reading) string {
						return r.sumRate("status", calls) + " * 60"
					}}},
					links: []dataLink{tracesOf("Failures of agents", `{ span.gen_ai.operation.name = "invoke_agent" && status = error }`)},
				},
				{
					title: "Average duration", kind: "timeseries", unit: "s", width: 8, height: 8,
					text: "Mean time that an agent works on one call.",
					queries: []query{{source: metrics, legend: "{{agent}}", per: func(r reading) string {
						return r.sumRate("agent", duration+"_sum") + " / " + r.sumRate("agent", duration+"_count")
					}}, exemplarsOf(duration)},
					links: []dataLink{tracesOfAgent()},
				},
				{
					title: "Duration, 95th percentile", kind: "timeseries", unit: "s", width: 8, height: 8,
					text: "All but one of twenty calls of the agent were faster.",
					queries: []query{{source: metrics, legend: "{{agent}}", exemplars: true, per: func(r reading) string {
						return r.p95("agent", duration)
					}}},
					links: []dataLink{tracesOfAgent()},
				},
			}},
			{"Cost", []panel{
				{
					title: "Cost by agent", kind: "bargauge", unit: "currencyUSD", decimals: 4, width: 12, height: 8,
					text: "Dollars of the time range, by agent: a trend, since the counter behind it is a float. The link gives the exact figures. Not divided by model.",
					queries: []query{{source: metrics, instant: true, legend: "{{agent}}", per: func(r reading) string {
						return r.sumTotal("agent", conv.PromAITeamAgentCostDollarsTotal)
					}}},
					links: []dataLink{exactCost("agent"), tracesOfAgent()},
				},
				{
					title: "Tokens by agent", kind: "timeseries", unit: "cpm", stacked: true, width: 12, height: 8,
					text: "Tokens of all kinds a minute.",
					queries: []query{{source: metrics, legend: "{{agent}}", per: func(r reading) string {
						return r.sumRate("agent", conv.PromAITeamLLMTokensTotal) + " * 60"
					}}},
					links: []dataLink{tracesOfAgent()},
				},
			}},
			{"Together", []panel{
				{
					title: "Who works for whom", kind: "nodeGraph", width: 12, height: 9,
					text:    "Messages between agents, and calls of tools and providers: the service graph, drawn from the metrics of the same names.",
					queries: []query{{source: traces, graph: true}},
				},
				queueWait(),
				{
					title: "Messages between agents", kind: "timeseries", unit: "cpm", width: 12, height: 8,
					text: "Messages a minute, by who sends to whom.",
					queries: []query{{source: metrics, legend: "{{from_agent}} → {{to_agent}}", per: func(r reading) string {
						return r.sumRate("from_agent, to_agent", conv.PromAITeamMessagesTotal) + " * 60"
					}}},
					links: []dataLink{tracesOf("Traces of this agent", `{ span.gen_ai.agent.name = "`+label("to_agent")+`" }`)},
				},
				{
					title: "Artifacts and records", kind: "timeseries", unit: "cpm", width: 12, height: 8,
					text: "What agents stored a minute: artifacts and database records.",
					queries: []query{
						{source: metrics, legend: "artifacts of {{agent}}", per: func(r reading) string { return r.sumRate("agent", conv.PromAITeamArtifactsTotal) + " * 60" }},
						{source: metrics, legend: "records of {{agent}}", per: func(r reading) string { return r.sumRate("agent", conv.PromAITeamRecordsTotal) + " * 60" }},
					},
					links: []dataLink{tracesOfAgent()},
				},
				tracesTable("Slow calls of agents", "Traces with calls of agents longer than ten seconds, the longest trace first.",
					`span.gen_ai.operation.name = "invoke_agent" && duration > 10s`, "span.gen_ai.agent.name, span.ai_team.quality_score"),
			}},
		},
	}
}
