package grafana

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// tracesOf is a link to the traces that a TraceQL query finds, in the time range of the dashboard. The query may hold
// Grafana's variables.
func tracesOf(title, traceQL string) dataLink {
	panes, err := json.Marshal(map[string]any{"mindscope": map[string]any{
		"datasource": "${traces}",
		"queries": []map[string]any{{
			"refId": "A", "datasource": traces.ref(), "queryType": "traceql", "query": traceQL, "limit": 20, "tableType": "traces",
		}},
		"range": timeRange{"${__from}", "${__to}"},
	}})
	if err != nil {
		panic("BUG: encode a link: " + err.Error())
	}
	return dataLink{Title: title, URL: "/explore?schemaVersion=1&orgId=1&panes=" + escape(string(panes)), TargetBlank: true}
}

// escape encodes text for a URL and leaves Grafana's variables in it.
func escape(text string) string {
	variables := regexp.MustCompile(`\$\{[^}]+\}`)
	var b strings.Builder
	end := 0
	for _, at := range variables.FindAllStringIndex(text, -1) {
		b.WriteString(url.QueryEscape(text[end:at[0]]) + text[at[0]:at[1]])
		end = at[1]
	}
	return b.String() + url.QueryEscape(text[end:])
}

// label is a label of the series that was clicked, as it is put into a link.
func label(name string) string { return `${__field.labels.` + name + `:percentencode}` }

func tracesOfModel() dataLink {
	return tracesOf("Traces of this model", `{ span.gen_ai.response.model = "`+label("model")+`" || span.gen_ai.request.model = "`+label("model")+`" }`)
}

func tracesOfAgent() dataLink {
	return tracesOf("Traces of this agent", `{ span.gen_ai.agent.name = "`+label("agent")+`" }`)
}

func failedTasks() dataLink {
	return tracesOf("Failed tasks", `{ nestedSetParent < 0 && status = error }`)
}

func tasksOfType() dataLink {
	return tracesOf("Tasks of this type", `{ span.ai_team.task.type = "`+label("task_type")+`" }`)
}

func judgedTasks() dataLink {
	return tracesOf("Judged tasks", `{ span.ai_team.quality_score >= 0 } | select(span.ai_team.quality_score)`)
}

func tasksList(title, query string) dataLink {
	return dataLink{Title: title, URL: "${mindscope}/api/mindscope/v1/tasks" + query, TargetBlank: true}
}

// exactCost is a link to the exact sums of the time range; the counter behind the panel is a float.
func exactCost(by string) dataLink {
	return dataLink{
		Title:       "Exact figures",
		URL:         "${mindscope}/api/mindscope/v1/costs?by=" + by + "&since=${__from:date:iso}&until=${__to:date:iso}",
		TargetBlank: true,
	}
}
