package grafana

import "github.com/mindscope/mindscope/internal/conv"

// taskOverview is the mission's first dashboard.
func taskOverview() board {
	const (
		tasks    = conv.PromAITeamTasksTotal
		duration = conv.PromAITeamTaskDurationSeconds
		quality  = conv.PromAITeamQualityScore
	)
	return board{
		uid: "mindscope-tasks", title: "Task Overview", tags: []string{"tasks"}, perTeam: true, vars: []string{"agent"},
		text: "What the team was given, what became of it, how long it took and how good it was.",
		rows: []row{
			{"", []panel{
				{
					title: "Total tasks by status", kind: "stat", unit: "short", decimals: -1, width: 8, height: 8,
					text: "Tasks of the time range. Pending are those that were accepted, the others ended; they are not parts of one sum: pending = completed + failed + cancelled + in progress.",
					queries: []query{{source: metrics, instant: true, legend: "{{status}}", per: func(r reading) string {
						return r.sumTotal("status", tasks)
					}}},
					links: []dataLink{failedTasks(), tasksList("List of tasks", "?since=${__from:date:iso}&until=${__to:date:iso}")},
				},
				{
					title: "Tasks in progress", kind: "stat", unit: "short", decimals: -1, width: 4, height: 8,
					text: "Tasks that run now, by what the server sees alive.",
					queries: []query{{source: metrics, legend: "in progress", per: func(r reading) string {
						return r.gauge(conv.PromAITeamTasksInProgress, "sum")
					}}},
					links: []dataLink{tasksList("Tasks that run", "?status=running")},
				},
				{
					title: "Average task duration", kind: "timeseries", unit: "s", width: 12, height: 8,
					text: "Mean duration of the tasks that ended, by type.",
					queries: []query{{source: metrics, legend: "{{task_type}}", per: func(r reading) string {
						return r.sumRate("task_type", duration+"_sum") + " / " + r.sumRate("task_type", duration+"_count")
					}}, exemplarsOf(duration)},
					links: []dataLink{tasksOfType()},
				},
				{
					title: "Quality score distribution", kind: "bargauge", unit: "short", decimals: -1, width: 12, height: 8,
					text: "How many tasks of the time range a judge gave which score, 0 to 10. Each bar counts the scores above the bar before it.",
					queries: []query{{source: metrics, instant: true, buckets: true, legend: "{{le}}", per: func(r reading) string {
						return r.sumTotal("le", quality+"_bucket")
					}}},
					links: []dataLink{judgedTasks()},
				},
				{
					title: "Failed share", kind: "timeseries", unit: "percentunit", width: 12, height: 8, min: new(0.0), max: new(1.0),
					text: "Failed tasks among those that were completed or failed, by team.",
					queries: []query{{source: metrics, legend: "{{team}}", per: func(r reading) string {
						all := r.sumRate("team", tasks, `status=~"completed|failed"`)
						return "(" + r.sumRate("team", tasks, `status="failed"`) + " or " + all + " * 0) / (" + all + " > 0)"
					}}},
					links: []dataLink{failedTasks()},
				},
			}},
			{"Flow", []panel{
				{
					title: "Accepted and ended", kind: "timeseries", unit: "cpm", width: 12, height: 8,
					text: "Tasks a minute, by status. Where accepted stays above ended, work piles up.",
					queries: []query{{source: metrics, legend: "{{status}}", exemplars: true, per: func(r reading) string {
						return r.sumRate("status", tasks) + " * 60"
					}}},
					links: []dataLink{failedTasks()},
				},
				{
					title: "Task duration heat map", kind: "heatmap", unit: "s", width: 12, height: 8,
					text: "How many tasks took how long.",
					queries: []query{{source: metrics, legend: "{{le}}", buckets: true, exemplars: true, per: func(r reading) string {
						return r.sumRate("le", duration+"_bucket")
					}}},
				},
				{
					title: "Average quality", kind: "timeseries", unit: "short", decimals: 1, width: 8, height: 8, min: new(0.0), max: new(10.0),
					text: "Mean of the scores that judges gave, 0 to 10, by team.",
					queries: []query{{source: metrics, legend: "{{team}}", per: func(r reading) string {
						return r.sumRate("team", quality+"_sum") + " / " + r.sumRate("team", quality+"_count")
					}}, exemplarsOf(quality)},
					links: []dataLink{judgedTasks()},
				},
				{
					title: "Task duration, 95th percentile", kind: "timeseries", unit: "s", width: 8, height: 8,
					text: "All but one of twenty tasks were done faster, by type.",
					queries: []query{{source: metrics, legend: "{{task_type}}", exemplars: true, per: func(r reading) string {
						return r.p95("task_type", duration)
					}}},
					links: []dataLink{tasksOfType()},
				},
				{
					title: "Oldest and stuck tasks", kind: "timeseries", unit: "s", width: 8, height: 8,
					text: "Age of the oldest task that runs, and how many tasks run three times as long as is usual and show no progress.",
					queries: []query{
						{source: metrics, legend: "oldest", per: func(r reading) string { return r.gauge(conv.PromAITeamOldestTaskSeconds, "max") }},
						{source: metrics, legend: "stuck", per: func(r reading) string { return r.gauge(conv.PromAITeamTasksStuck, "sum") }},
					},
					overrides: []override{{matcher{"byName", "stuck"}, []property{{"unit", "short"}, {"custom.axisPlacement", "right"}}}},
					links:     []dataLink{tasksList("Tasks that run", "?status=running")},
				},
			}},
			{"Tasks", []panel{
				tracesTable("Slowest tasks", "Tasks that took longer than 95 % of those of the time range, the slowest first. A click on an id opens the trace.",
					"nestedSetParent < 0 && duration > ${slow}s", "span.ai_team.task.id, span.ai_team.task.type"),
				tracesTable("Failed tasks", "Tasks that failed, the slowest first. A click on an id opens the trace.",
					"nestedSetParent < 0 && status = error", "span.ai_team.task.id, span.ai_team.task.type, statusMessage"),
				{
					title: "Error lines", kind: "logs", width: 24, height: 9,
					text:    "Log lines of level error and above, of all services. The link in a line's details opens its trace.",
					queries: []query{{source: logs, expr: `{service_name=~".+"} | detected_level=~"error|fatal"`, limit: 100}},
				},
			}},
			{"Bus and hops", []panel{
				queueWait(),
				{
					title: "Messages", kind: "timeseries", unit: "cpm", width: 6, height: 9,
					text: "Messages on the bus a minute, by type.",
					queries: []query{{source: metrics, legend: "{{type}}", per: func(r reading) string {
						return r.sumRate("type", conv.PromAITeamMessagesTotal) + " * 60"
					}}},
				},
				{
					title: "Hops missing", kind: "bargauge", unit: "short", decimals: -1, width: 6, height: 9,
					text: "Hops of the time range at which a task's id was lost, by kind: bus message, call of a model, database record, artifact, log line.",
					queries: []query{{source: metrics, instant: true, legend: "{{hop}}", per: func(r reading) string {
						return r.sumTotal("hop", conv.PromAITeamHopsMissingTotal)
					}}},
					alarm: []float64{1, 10},
					links: []dataLink{tasksList("List of tasks", "?since=${__from:date:iso}&until=${__to:date:iso}")},
				},
			}},
		},
	}
}

func queueWait() panel {
	return panel{
		title: "Queue wait, 95th percentile", kind: "timeseries", unit: "s", width: 12, height: 9,
		text: "How long messages wait before their agent begins to work on them, by agent.",
		queries: []query{{source: metrics, legend: "{{to_agent}}", exemplars: true, per: func(r reading) string {
			return r.p95("to_agent", conv.PromAITeamMessageWaitSeconds)
		}}},
		links: []dataLink{tracesOf("Traces of this agent", `{ span.gen_ai.agent.name = "`+label("to_agent")+`" }`)},
	}
}

// ofTeam is a condition on spans: that they are of a chosen team, by one of the two attributes that name it. Those that
// name none are shown whatever is chosen.
const ofTeam = `(span.ai_team.team =~ "$team" || resource.service.namespace =~ "$team" || span.ai_team.team = nil && resource.service.namespace = nil)`

// tracesTable is a table of the traces that have a span for which the condition holds, the longest first, with some
// attributes. The column of ids is Tempo's own link to the trace.
func tracesTable(title, text, condition, attributes string) panel {
	return panel{
		title: title, text: text, kind: "table", width: 12, height: 9,
		queries: []query{{source: traces, expr: "{ " + condition + " && " + ofTeam + " } | select(" + attributes + ")", limit: 100}},
		overrides: []override{{matcher{"byName", "traceID"}, []property{{"links", []dataLink{
			tracesOf("Open the trace", "${__value.raw}"),
			{Title: "The task in MindScope", URL: "${mindscope}/api/mindscope/v1/tasks/${__value.raw}", TargetBlank: true},
		}}}}},
		transformations: []transformation{{"sortBy", map[string]any{"fields": map[string]any{}, "sort": []map[string]any{{"field": "traceDuration", "desc": true}}}}},
	}
}
