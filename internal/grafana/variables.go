package grafana

import (
	"fmt"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
)

// Values of variables' hide and refresh.
const (
	hidden      = 2
	onTimeRange = 2
)

// How a query variable of the Prometheus data source is answered.
const (
	labelValues = 1
	queryResult = 3
)

// variables are the data sources, then what the dashboard filters by, then the hidden ones. mindscope is the address at
// which browsers reach the server.
func (b board) variables(mindscope string) []variable {
	list := []variable{
		chooses(metrics, "Metrics", MetricsUID, "MindScope metrics"),
		chooses(traces, "Traces", TracesUID, "MindScope traces"),
		chooses(logs, "Logs", LogsUID, "MindScope logs"),
	}
	if b.perTeam {
		list = append(list,
			filters("project", "Project", conv.PromAITeamTasksTotal, "project", ""),
			filters("team", "Team", conv.PromAITeamTasksTotal, "team", `{project=~"$project"}`))
	}
	for _, v := range b.vars {
		switch v {
		case "agent":
			list = append(list, filters("agent", "Agent", conv.PromAITeamAgentCallsTotal, "agent", `{project=~"$project", team=~"$team"}`))
		case "model":
			list = append(list, filters("model", "Model", conv.PromAITeamLLMCallsTotal, "model", `{project=~"$project", team=~"$team"}`))
		}
	}
	if b.perTeam {
		list = append(list,
			longer("long", "`.*` for time ranges of more than six hours, which are read from recorded series, else `.+`.", longRange),
			longer("week", "`.*` for time ranges of more than a week, which are read from series recorded once an hour, else `.+`.", weekRange))
	} else {
		list = append(list, filters("instance", "Server", "mindscope_build_info", "instance", ""))
	}
	if b.asksFor("${slow}") {
		list = append(list, slow(b.vars))
	}
	return append(list, variable{
		Type: "constant", Name: "mindscope", Label: "MindScope", Hide: hidden, SkipURLSync: true, Query: mindscope,
		Description: "Where browsers reach MindScope: links to tasks and exact figures go there.",
		Current:     &option{Text: mindscope, Value: mindscope}, Options: []option{{Text: mindscope, Value: mindscope, Selected: true}},
	})
}

// asksFor tells whether a query of the dashboard holds a variable.
func (b board) asksFor(name string) bool {
	for _, r := range b.rows {
		for _, p := range r.panels {
			for _, q := range p.queries {
				if strings.Contains(q.expr, name) {
					return true
				}
			}
		}
	}
	return false
}

// chooses is a variable for a data source; the provisioned one is the default.
func chooses(s source, label, uid, name string) variable {
	return variable{
		Type: "datasource", Name: s.variable(), Label: label, Query: string(s), Refresh: 1,
		Current: &option{Text: name, Value: uid},
	}
}

// filters is a variable of label values, of which several or all can be chosen.
func filters(name, label, series, of, matchers string) variable {
	ask := fmt.Sprintf("label_values(%s%s, %s)", series, matchers, of)
	from := metrics.ref()
	return variable{
		Type: "query", Name: name, Label: label, Datasource: &from, Definition: ask,
		Query:   map[string]any{"qryType": labelValues, "query": ask, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		Current: &option{Text: []string{"All"}, Value: []string{"$__all"}}, Multi: true, IncludeAll: true, AllValue: ".*",
		Refresh: onTimeRange, Sort: 1,
	}
}

// longer tells whether the time range is longer than some seconds. Its value is a regular expression for a label that no
// series has: `.*` holds for all of them, `.+` for none. Queries that run beyond say =~, those that run up to it !~.
func longer(name, text string, seconds int) variable {
	return result(name, text, fmt.Sprintf(
		`label_replace(vector($__range_s) > %[1]d, %[2]q, ".*", "", "") or label_replace(vector($__range_s) <= %[1]d, %[2]q, ".+", "", "")`, seconds, name),
		`/`+name+`="([^"]+)"/`, ".+")
}

// slow is the 95th percentile of the duration of tasks in the time range, from which the table of slow ones begins.
func slow(vars []string) variable {
	bucket := conv.PromAITeamTaskDurationSeconds + "_bucket"
	all := readings(vars, func(r reading) string { return r.sumTotal("le", bucket) }, true)
	ask := fmt.Sprintf("round(histogram_quantile(0.95, %s), 0.001) >= 0 or vector(0)", all[0].expr)
	return result("slow", "The 95th percentile of the duration of tasks, in seconds.", ask, `/\{\} ([0-9.]+) /`, "0")
}

// result is a hidden variable that holds the result of a query.
func result(name, text, expr, regex, current string) variable {
	ask := "query_result(" + expr + ")"
	from := metrics.ref()
	return variable{
		Type: "query", Name: name, Description: text, Hide: hidden, SkipURLSync: true, Datasource: &from, Definition: ask,
		Query:   map[string]any{"qryType": queryResult, "query": ask, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		Current: &option{Text: current, Value: current, Selected: true}, Refresh: onTimeRange, Regex: regex,
	}
}

// alerts marks the times at which alerts fired.
func (b board) alerts() annotation {
	expr := `ALERTS{alertstate="firing", alertname!="Watchdog"}`
	if b.perTeam {
		expr = `ALERTS{alertstate="firing", team=~"$team"}`
	}
	return annotation{
		Name: "Alerts", Datasource: metrics.ref(), Enable: true, IconColor: "red", Step: "60s", Expr: expr,
		TitleFormat: "{{alertname}}", TextFormat: "{{team}} {{model}} {{agent}}",
	}
}
