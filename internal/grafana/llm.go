package grafana

import "github.com/mindscope/mindscope/internal/conv"

// llmMetrics is the mission's second dashboard.
func llmMetrics() board {
	const (
		calls   = conv.PromAITeamLLMCallsTotal
		latency = conv.PromAITeamLLMLatencySeconds
		cost    = conv.PromAITeamLLMCostDollarsTotal
		tokens  = conv.PromAITeamLLMTokensTotal
		failed  = conv.PromAITeamLLMErrorsTotal
	)
	return board{
		uid: "mindscope-llm", title: "LLM Metrics", tags: []string{"llm"}, perTeam: true, vars: []string{"agent", "model"},
		text: "Calls of models: how many, how fast, how dear, how often they fail.",
		rows: []row{
			{"", []panel{
				{
					title: "LLM calls by model", kind: "timeseries", unit: "cpm", stacked: true, width: 12, height: 8,
					text: "Calls of models a minute, one span each. An attempt that a client sends again is a call of its own where its transport reports (docs/llm-clients.md).",
					queries: []query{{source: metrics, legend: "{{model}}", exemplars: true, per: func(r reading) string {
						return r.sumRate("model", calls) + " * 60"
					}}},
					links: []dataLink{tracesOfModel()},
				},
				{
					title: "Average latency by model", kind: "timeseries", unit: "s", width: 12, height: 8,
					text: "Mean time of a call. Quick refusals count too where each attempt is a call. Not divided by agent.",
					queries: []query{{source: metrics, legend: "{{model}}", per: func(r reading) string {
						return r.sumRate("model", latency+"_sum") + " / " + r.sumRate("model", latency+"_count")
					}}, exemplarsOf(latency)},
					links: []dataLink{tracesOfModel()},
				},
				{
					title: "Total cost (by model)", kind: "bargauge", unit: "currencyUSD", decimals: 4, width: 12, height: 8,
					text: "Dollars of the time range, by model: a trend, since the counter behind it is a float. The link gives the exact figures. Calls without a known price are not in it. Not divided by agent.",
					queries: []query{{source: metrics, instant: true, legend: "{{model}}", per: func(r reading) string {
						return r.sumTotal("model", cost)
					}}},
					links: []dataLink{exactCost("model"), tracesOfModel()},
				},
				{
					title: "Token usage", kind: "timeseries", unit: "cpm", stacked: true, width: 12, height: 8,
					text: "Tokens a minute, by kind. The kinds are disjoint: input is what was not read from a cache, output what was not spent on reasoning.",
					queries: []query{{source: metrics, legend: "{{token_type}}", per: func(r reading) string {
						return r.sumRate("token_type", tokens) + " * 60"
					}}},
					links: []dataLink{tracesOf("Calls with many tokens", `{ span.gen_ai.usage.input_tokens > 1000 } | select(span.gen_ai.usage.input_tokens, span.gen_ai.usage.output_tokens)`)},
				},
			}},
			{"Cost", []panel{
				{
					title: "Cost burn", kind: "timeseries", unit: "currencyUSD", stacked: true, width: 8, height: 8,
					text: "Dollars an hour at the pace of the moment, by model: a trend. The link gives the exact figures.",
					queries: []query{{source: metrics, legend: "{{model}}", exemplars: true, per: func(r reading) string {
						return r.sumRate("model", cost) + " * 3600"
					}}},
					links: []dataLink{exactCost("model,day"), tracesOfModel()},
				},
				{
					title: "Cost of a call", kind: "timeseries", unit: "currencyUSD", decimals: 5, width: 7, height: 8,
					text: "What a call costs on average, by model: a trend. It rises where caches are missed, or prompts and answers grow. Not divided by agent.",
					queries: []query{{source: metrics, legend: "{{model}}", per: func(r reading) string {
						return r.sumRate("model", cost) + " / (" + r.sumRate("model", latency+"_count") + " > 0)"
					}}},
					links: []dataLink{exactCost("model"), tracesOfModel()},
				},
				{
					title: "Budgets", kind: "bargauge", unit: "percentunit", decimals: 1, width: 5, height: 8, min: new(0.0), max: new(1.0),
					text: "How much of each budget is spent in its period, exactly: the store's integers, not the counter. Budgets are settings (docs/budgets.md).",
					queries: []query{{
						source: metrics, instant: true, legend: "{{budget}} a {{period}}",
						expr: "max by (budget, period) (" + conv.PromAITeamBudgetUsedRatio + `{project=~"$project", team=~"$team"})`,
					}},
					alarm: []float64{0.8, 1},
					links: []dataLink{{Title: "All budgets", URL: "${mindscope}/api/mindscope/v1/budgets", TargetBlank: true}},
				},
				{
					title: "Calls without a price", kind: "stat", unit: "short", decimals: -1, width: 4, height: 8,
					text: "Calls of the time range whose cost is unknown, by model; they are in no sum of dollars. docs/prices.md says how to give them a price.",
					queries: []query{{source: metrics, instant: true, legend: "{{model}}", per: func(r reading) string {
						return r.sumTotal("model", conv.PromAITeamPriceMissesTotal)
					}}},
					alarm: []float64{1, 100},
					links: []dataLink{{Title: "Prices of this model", URL: "${mindscope}/api/mindscope/v1/prices?model=" + label("model"), TargetBlank: true}},
				},
			}},
			{"Tokens", []panel{
				{
					title: "Tokens by kind", kind: "bargauge", unit: "short", width: 12, height: 8,
					text: "Tokens of the time range, by kind.",
					queries: []query{{source: metrics, instant: true, legend: "{{token_type}}", per: func(r reading) string {
						return r.sumTotal("token_type", tokens)
					}}},
				},
				{
					title: "Cache hit ratio", kind: "timeseries", unit: "percentunit", width: 12, height: 8, min: new(0.0), max: new(1.0),
					text: "Share of the input tokens that were read from the provider's cache, by model.",
					queries: []query{{source: metrics, legend: "{{model}}", per: func(r reading) string {
						all := r.sumRate("model", tokens, `token_type=~"input|cache_read|cache_write"`)
						return "(" + r.sumRate("model", tokens, `token_type="cache_read"`) + " or " + all + " * 0) / (" + all + " > 0)"
					}}},
					links: []dataLink{tracesOfModel()},
				},
			}},
			{"Latency", []panel{
				{
					title: "Latency heat map", kind: "heatmap", unit: "s", width: 12, height: 8,
					text: "How many calls took how long.",
					queries: []query{{source: metrics, legend: "{{le}}", buckets: true, exemplars: true, per: func(r reading) string {
						return r.sumRate("le", latency+"_bucket")
					}}},
				},
				{
					title: "Latency, 95th percentile", kind: "timeseries", unit: "s", width: 12, height: 8,
					text: "All but one of twenty calls were faster, by model.",
					queries: []query{{source: metrics, legend: "{{model}}", exemplars: true, per: func(r reading) string {
						return r.p95("model", latency)
					}}},
					links: []dataLink{tracesOfModel()},
				},
				tracesTable("Slow calls", "Calls of models that took longer than ten seconds, the longest trace first.",
					`span.gen_ai.operation.name =~ "chat|generate_content|text_completion" && duration > 10s`, "span.gen_ai.response.model, span.gen_ai.agent.name, span.gen_ai.usage.output_tokens"),
			}},
			{"Errors", []panel{
				{
					title: "Error classes", kind: "timeseries", unit: "cpm", stacked: true, width: 12, height: 9,
					text: "Failed calls a minute, by class: the provider's status, timeout and the like.",
					queries: []query{{source: metrics, legend: "{{error_type}}", exemplars: true, per: func(r reading) string {
						return r.sumRate("error_type", failed) + " * 60"
					}}},
					links: []dataLink{tracesOf("Calls that failed so", `{ span.error.type = "`+label("error_type")+`" }`)},
				},
				{
					title: "Failed share by model", kind: "timeseries", unit: "percentunit", width: 12, height: 9, min: new(0.0), max: new(1.0),
					text: "Failed calls among all, by model.",
					queries: []query{{source: metrics, legend: "{{model}}", per: func(r reading) string {
						all := r.sumRate("model", calls)
						return "(" + r.sumRate("model", failed) + " or " + all + " * 0) / (" + all + " > 0)"
					}}},
					links: []dataLink{tracesOf("Failed calls of this model", `{ status = error && (span.gen_ai.response.model = "`+label("model")+`" || span.gen_ai.request.model = "`+label("model")+`") }`)},
				},
			}},
		},
	}
}
