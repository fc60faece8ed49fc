package dashboards

import (
	"math"
	"slices"
	"strconv"
)

// figures are values by label values.
type figures map[string]float64

// each divides or multiplies all figures.
func (f figures) each(by float64) figures {
	out := figures{}
	for k, v := range f {
		out[k] = v * by
	}
	return out
}

// over divides by the figure of the same key; those of which none is above zero are left out.
func (f figures) over(all figures) figures {
	out := figures{}
	for k, v := range all {
		if v > 0 {
			out[k] = f[k] / v
		}
	}
	return out
}

// count counts spans by a key.
func (d *demo) count(which func(span) bool, key func(span) string) figures {
	return d.sum(which, key, func(span) float64 { return 1 })
}

func (d *demo) sum(which func(span) bool, key func(span) string, of func(span) float64) figures {
	out := figures{}
	for _, s := range d.spans {
		if which(s) {
			out[key(s)] += of(s)
		}
	}
	return out
}

// durationBounds and scoreBounds are the buckets of docs/metrics.md.
func durationBounds() []float64 {
	return []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, math.Inf(1)}
}

func scoreBounds() []float64 { return []float64{0, 2, 4, 6, 8, 10, math.Inf(1)} }

// buckets counts values up to each bound.
func (d *demo) buckets(which func(span) bool, of func(span) float64, bounds []float64) figures {
	out := figures{}
	for _, bound := range bounds {
		name := strconv.FormatFloat(bound, 'f', -1, 64)
		if bound == math.Trunc(bound) && !math.IsInf(bound, 0) {
			name += ".0"
		}
		out[name] = 0
		for _, s := range d.spans {
			if which(s) && of(s) <= bound {
				out[name]++
			}
		}
	}
	return out
}

// p95 is the 95th percentile as it is read from buckets: by a straight line within the bucket that it lies in.
func (d *demo) p95(which func(span) bool, key func(span) string, of func(span) float64) figures {
	values := map[string][]float64{}
	for _, s := range d.spans {
		if which(s) {
			values[key(s)] = append(values[key(s)], of(s))
		}
	}
	out := figures{}
	for k, vs := range values {
		rank, lower, below := 0.95*float64(len(vs)), 0.0, 0.0
		for _, bound := range durationBounds() {
			upTo := 0.0
			for _, v := range vs {
				if v <= bound {
					upTo++
				}
			}
			if upTo >= rank {
				out[k] = lower + (bound-lower)*(rank-below)/(upTo-below)
				break
			}
			lower, below = bound, upTo
		}
	}
	return out
}

// tokens are a call's, by kind: the kinds are disjoint.
func tokens(s span) map[string]float64 {
	cached, reasoning := s.num("attr.gen_ai.usage.cache_read.input_tokens"), s.num("attr.gen_ai.usage.reasoning.output_tokens")
	return map[string]float64{
		"input": s.num("attr.gen_ai.usage.input_tokens") - cached, "cache_read": cached,
		"output": s.num("attr.gen_ai.usage.output_tokens") - reasoning, "reasoning": reasoning,
	}
}

// used sums tokens by a key, of all kinds or of some.
func (d *demo) used(key func(s span, kind string) string, kinds ...string) figures {
	out := figures{}
	for _, s := range d.spans {
		if !s.is("chat") {
			continue
		}
		for kind, n := range tokens(s) {
			if n > 0 && (len(kinds) == 0 || slices.Contains(kinds, kind)) {
				out[key(s, kind)] += n
			}
		}
	}
	return out
}

// expected are the figures of each panel.
func (d *demo) expected() map[string]figures {
	const minute = 60 / window
	task, call, agent := is("invoke_workflow"), is("chat"), is("invoke_agent")
	sent := func(s span) bool { return s.text("span_kind") == "producer" }
	received := func(s span) bool { return s.text("span_kind") == "consumer" }
	failedCall := func(s span) bool { return call(s) && s.failed() }
	priced := func(s span) bool { return s.has("cost_micro_usd") }
	team, none := constant("newsroom"), constant("")
	byAgent, byModel := attr("gen_ai.agent.name"), span.model
	dollars := func(s span) float64 { return s.num("cost_micro_usd")/1e6 + s.num("cost_rest_pico_usd")/1e12 }
	score := func(s span) float64 { return s.num("attr.ai_team.quality_score") }
	scored := func(of func(span) bool) func(span) bool {
		return func(s span) bool { return of(s) && s.has("attr.ai_team.quality_score") }
	}
	outcome := func(s span) string {
		if s.failed() {
			return "failed"
		}
		return "completed"
	}
	wait := func(s span) float64 { return s.num("attr.ai_team.message.wait_ms") / 1000 }
	ended := d.count(task, outcome)
	byStatus := figures{"pending": d.count(task, none)[""], "completed": ended["completed"], "failed": ended["failed"]}
	calls, cost := d.count(call, byModel), d.sum(priced, byModel, dollars)
	pricedCalls := d.count(priced, byModel)
	kind := func(_ span, kind string) string { return kind }
	input := d.used(func(s span, _ string) string { return s.model() }, "input", "cache_read")
	cached := d.used(func(s span, _ string) string { return s.model() }, "cache_read")
	work := d.count(agent, byAgent)
	done := d.count(func(s span) bool { return agent(s) && !s.failed() }, byAgent)
	queue := d.p95(received, attr("ai_team.message.to_agent"), wait)
	return map[string]figures{
		"Task Overview/Total tasks by status":          byStatus,
		"Task Overview/Tasks in progress":              {"": 0},
		"Task Overview/Average task duration":          d.sum(task, attr("ai_team.task.type"), span.seconds).over(d.count(task, attr("ai_team.task.type"))),
		"Task Overview/Quality score distribution":     d.buckets(scored(task), score, scoreBounds()),
		"Task Overview/Failed share":                   {"newsroom": ended["failed"] / tasks},
		"Task Overview/Accepted and ended":             byStatus.each(minute),
		"Task Overview/Task duration heat map":         d.buckets(task, span.seconds, durationBounds()).each(1 / window),
		"Task Overview/Average quality":                d.sum(scored(task), team, score).over(d.count(scored(task), team)),
		"Task Overview/Task duration, 95th percentile": d.p95(task, attr("ai_team.task.type"), span.seconds),
		"Task Overview/Oldest and stuck tasks/oldest":  {"": 0},
		"Task Overview/Oldest and stuck tasks/stuck":   {"": 0},
		"Task Overview/Queue wait, 95th percentile":    queue,
		"Task Overview/Messages":                       d.count(sent, attr("ai_team.message.type")).each(minute),
		"Task Overview/Hops missing":                   {},

		"LLM Metrics/LLM calls by model":       calls.each(minute),
		"LLM Metrics/Average latency by model": d.sum(call, byModel, span.seconds).over(calls),
		"LLM Metrics/Total cost (by model)":    cost,
		"LLM Metrics/Token usage":              d.used(kind).each(minute),
		"LLM Metrics/Cost burn":                cost,
		"LLM Metrics/Cost of a call":           cost.over(pricedCalls),
		"LLM Metrics/Calls without a price":    d.count(func(s span) bool { return call(s) && !priced(s) }, byModel),
		"LLM Metrics/Budgets":                  {"press → month": d.allTokens() / 100_000},
		"LLM Metrics/Tokens by kind":           d.used(kind),
		"LLM Metrics/Cache hit ratio":          cached.over(input),
		"LLM Metrics/Latency heat map":         d.buckets(call, span.seconds, durationBounds()).each(1 / window),
		"LLM Metrics/Latency, 95th percentile": d.p95(call, byModel, span.seconds),
		"LLM Metrics/Error classes":            d.count(failedCall, attr("error.type")).each(minute),
		"LLM Metrics/Failed share by model":    d.count(failedCall, byModel).over(calls),

		"Agent Performance/Calls of each agent":         work,
		"Agent Performance/Success rate":                done.over(work),
		"Agent Performance/Average quality score":       d.sum(scored(agent), byAgent, score).over(d.count(scored(agent), byAgent)),
		"Agent Performance/Calls by outcome":            d.count(agent, outcome).each(minute),
		"Agent Performance/Average duration":            d.sum(agent, byAgent, span.seconds).over(work),
		"Agent Performance/Duration, 95th percentile":   d.p95(agent, byAgent, span.seconds),
		"Agent Performance/Cost by agent":               d.sum(priced, byAgent, dollars),
		"Agent Performance/Tokens by agent":             d.used(func(s span, _ string) string { return byAgent(s) }).each(minute),
		"Agent Performance/Queue wait, 95th percentile": queue,
		"Agent Performance/Messages between agents": d.count(sent, func(s span) string {
			return attr("ai_team.message.from_agent")(s) + " → " + attr("ai_team.message.to_agent")(s)
		}).each(minute),
		"Agent Performance/Artifacts and records/artifacts": d.count(func(s span) bool { return s.text("name") == "save_artifact" }, byAgent).each(minute),
		"Agent Performance/Artifacts and records/records":   d.count(func(s span) bool { return s.has("attr.ai_team.record.table") }, byAgent).each(minute),
	}
}

func is(operation string) func(span) bool { return func(s span) bool { return s.is(operation) } }

func attr(name string) func(span) string {
	return func(s span) string { return s.text("attr." + name) }
}

func constant(text string) func(span) string { return func(span) string { return text } }
