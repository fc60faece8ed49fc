package grafana

import (
	"encoding/json"
	"fmt"
	"slices"
)

// schemaVersion is the one of Grafana 10.4: later ones migrate it, a later one would not be read there.
const schemaVersion = 39

// columns is the width of a dashboard.
const columns = 24

// board describes a dashboard. The panels of its first row stand on top, without a heading.
type board struct {
	uid, title, text string
	tags             []string
	// vars are the variables beside project and team: agent, model.
	vars []string
	// perTeam is false where nothing belongs to a project or team.
	perTeam bool
	rows    []row
}

type row struct {
	title  string
	panels []panel
}

// panel describes a panel. Width and height are in columns and rows of Grafana's grid.
type panel struct {
	title, text, kind, unit string
	width, height           int
	queries                 []query
	links                   []dataLink
	decimals                int // 0 leaves them to Grafana, -1 wants none
	min, max                *float64
	stacked                 bool
	// alarm are thresholds from which a figure is yellow, and red.
	alarm []float64
	// good turns them round: below them a figure is yellow, and red.
	good            bool
	overrides       []override
	transformations []transformation
}

// source is where a query goes.
type source string

const (
	metrics source = "prometheus"
	traces  source = "tempo"
	logs    source = "loki"
)

// variable is the dashboard variable that chooses a data source.
func (s source) variable() string {
	switch s {
	case traces:
		return "traces"
	case logs:
		return "logs"
	}
	return "datasource"
}

func (s source) ref() ref { return ref{string(s), "${" + s.variable() + "}"} }

// query describes a query: PromQL by expr, or by per in both readings; TraceQL or LogQL by expr.
type query struct {
	source source
	expr   string
	per    func(reading) string
	legend string
	// instant asks for one value at the end of the range.
	instant bool
	// exemplars shows them as well, with the way to their traces.
	exemplars bool
	// unrecorded queries have the reading of the series themselves only.
	unrecorded bool
	// buckets: the answer is a histogram's.
	buckets bool
	// limit bounds traces or lines.
	limit int
	// graph asks Tempo's data source for the service graph.
	graph bool
}

// exemplarsOf shows a histogram's exemplars in a panel that does not ask for its buckets, which have them: a query whose
// answer is always empty.
func exemplarsOf(histogram string) query {
	return query{source: metrics, exemplars: true, unrecorded: true, legend: "exemplars", per: func(r reading) string {
		return r.sumRate("", histogram+"_bucket") + " > Inf"
	}}
}

// render is a dashboard's JSON.
func (b board) render(mindscope string) ([]byte, error) {
	d := dashboard{
		UID: b.uid, Title: b.title, Description: b.text, Tags: append([]string{"mindscope"}, b.tags...),
		Timezone: "browser", GraphTooltip: 1, Time: timeRange{"now-1h", "now"}, Refresh: "30s", SchemaVersion: schemaVersion,
		Templating: templating{b.variables(mindscope)}, Annotations: annotations{[]annotation{b.alerts()}},
		Links: []headerLink{
			{Title: "MindScope", Type: "dashboards", Icon: "external link", Tooltip: "The other dashboards", Tags: []string{"mindscope"}, IncludeVars: true, KeepTime: true},
			{Title: "Tasks", Type: "link", Icon: "doc", Tooltip: "The list of tasks in MindScope", URL: "${mindscope}/", Tags: []string{}, TargetBlank: true},
		},
	}
	id, y := 0, 0
	for i, r := range b.rows {
		if i > 0 {
			id++
			d.Panels = append(d.Panels, jsonPanel{
				ID: id, Type: "row", Title: r.title, Collapsed: new(false), Panels: []jsonPanel{}, GridPos: gridPos{H: 1, W: columns, Y: y},
			})
			y++
		}
		x, tallest := 0, 0
		for _, p := range r.panels {
			if x+p.width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			id++
			d.Panels = append(d.Panels, p.json(id, gridPos{H: p.height, W: p.width, X: x, Y: y}, b.vars))
			x, tallest = x+p.width, max(tallest, p.height)
		}
		y += tallest
	}
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", b.uid, err)
	}
	return append(out, '\n'), nil
}

func (p panel) json(id int, at gridPos, vars []string) jsonPanel {
	first := p.queries[0].source
	from := first.ref()
	out := jsonPanel{
		ID: id, Type: p.kind, Title: p.title, Description: p.text, Datasource: &from, GridPos: at,
		Options: p.options(), Transformations: p.transformations,
	}
	for _, q := range p.queries {
		for _, t := range q.targets(vars) {
			t.RefID = string(rune('A' + len(out.Targets)))
			out.Targets = append(out.Targets, t)
		}
	}
	if p.kind == "logs" || p.kind == "nodeGraph" {
		return out
	}
	out.FieldConfig = &fieldConfig{Defaults: p.defaults(), Overrides: append([]override{}, p.overrides...)}
	return out
}

func (q query) targets(vars []string) []target {
	t := target{Datasource: q.source.ref()}
	switch q.source {
	case traces:
		t.Filters = []string{}
		if t.QueryType = "serviceMap"; !q.graph {
			t.QueryType, t.Query, t.Limit, t.TableType = "traceql", q.expr, q.limit, "traces"
		}
		return []target{t}
	case logs:
		t.QueryType, t.Expr, t.EditorMode, t.MaxLines = "range", q.expr, "code", q.limit
		return []target{t}
	}
	t.EditorMode, t.LegendFormat, t.Format = "code", q.legend, "time_series"
	t.Instant, t.Range = new(q.instant), new(!q.instant)
	if q.buckets {
		t.Format = "heatmap"
	}
	all := []asked{{q.expr, ""}}
	switch {
	case q.unrecorded:
		all = []asked{{q.per(reading{vars: vars}), "1m"}}
	case q.per != nil:
		all = readings(vars, q.per, q.instant)
	}
	var out []target
	for _, a := range all {
		one := t
		one.Expr, one.Interval = a.expr, a.least
		one.Exemplar = new(q.exemplars && (a.least == "" || q.unrecorded)) // no recorded series has any
		out = append(out, one)
	}
	return out
}

func (p panel) options() map[string]any {
	legend := map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}
	tooltip := map[string]any{"mode": "multi", "sort": "desc"}
	reduce := map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.kind {
	case "timeseries":
		return map[string]any{"legend": legend, "tooltip": tooltip}
	case "stat":
		return map[string]any{
			"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto",
			"orientation": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
		}
	case "bargauge":
		return map[string]any{
			"reduceOptions": reduce, "displayMode": "gradient", "orientation": "horizontal", "valueMode": "color", "namePlacement": "auto",
			"showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300, "legend": legend,
		}
	case "heatmap":
		return map[string]any{
			"calculate": false, "cellGap": 1, "cellValues": map[string]any{"unit": "short"},
			"color":        map[string]any{"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": 0.5, "steps": 64, "reverse": false},
			"exemplars":    map[string]any{"color": "rgba(255,0,255,0.7)"},
			"filterValues": map[string]any{"le": 1e-9}, "legend": map[string]any{"show": true},
			"rowsFrame": map[string]any{"layout": "auto"}, "showValue": "never",
			"tooltip": map[string]any{"mode": "single", "yHistogram": false, "showColorScale": false}, "yAxis": map[string]any{"axisPlacement": "left", "reverse": false, "unit": p.unit},
		}
	case "table":
		return map[string]any{"showHeader": true, "frameIndex": 0, "cellHeight": "sm"}
	case "logs":
		return map[string]any{
			"showLabels": false, "showCommonLabels": false, "showTime": true, "showLogContextToggle": true, "wrapLogMessage": true,
			"prettifyLogMessage": false, "enableLogDetails": true, "sortOrder": "Descending", "dedupStrategy": "none",
		}
	}
	return map[string]any{}
}

func (p panel) defaults() fieldDefaults {
	d := fieldDefaults{Unit: p.unit, Min: p.min, Max: p.max, Links: p.links, NoValue: "–"}
	switch {
	case p.decimals < 0:
		d.Decimals = new(0)
	case p.decimals > 0:
		d.Decimals = new(p.decimals)
	}
	if len(p.alarm) > 0 {
		d.Color, d.Thresholds = map[string]any{"mode": "thresholds"}, p.thresholds()
	} else {
		d.Color = map[string]any{"mode": "palette-classic"}
	}
	switch p.kind {
	case "timeseries":
		d.Color = map[string]any{"mode": "palette-classic"}
		d.Custom = map[string]any{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "pointSize": 4, "spanNulls": false,
			"lineInterpolation": "linear", "axisPlacement": "auto", "stacking": map[string]any{"mode": "none", "group": "A"},
		}
		if p.stacked {
			d.Custom["fillOpacity"], d.Custom["stacking"] = 40, map[string]any{"mode": "normal", "group": "A"}
		}
	case "heatmap":
		d.Color = nil
		d.Custom = map[string]any{"scaleDistribution": map[string]any{"type": "linear"}}
	case "table":
		d.Custom = map[string]any{"align": "auto", "cellOptions": map[string]any{"type": "auto"}, "inspect": false, "filterable": true}
	}
	return d
}

func (p panel) thresholds() *thresholds {
	colors := []string{"green", "yellow", "red"}
	if p.good {
		slices.Reverse(colors)
	}
	t := &thresholds{Mode: "absolute", Steps: []threshold{{Color: colors[0]}}}
	for i, v := range p.alarm {
		t.Steps = append(t.Steps, threshold{colors[i+1], new(v)})
	}
	return t
}
