package grafana

import (
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
)

// The time ranges, in seconds, beyond which panels read what the shipped rules recorded every five minutes, and every hour.
const (
	longRange = 6 * 60 * 60
	weekRange = 7 * 24 * 60 * 60
)

// The intervals of those rules. They are the least steps of queries that read them as well, but that a point for two hours is
// enough for a month: each point costs an evaluation of each series.
const (
	every5m = "5m"
	every1h = "1h"
	step1h  = "2h"
)

// A reading is one way to read a panel's figures: from the series themselves, or, for long ranges, from what the shipped
// rules recorded of them. A panel asks all, and all but one are empty: no series has a label `long` or `week`, so a matcher
// on it holds for all series or for none, as the variables $long and $week say. Which of the recorded series are read
// depends in the same way on whether one agent or model was chosen (guard).
type reading struct {
	// every is the interval of the rules whose series are read, "" for none.
	every string
	// detail reads the series that tell all filters apart, not the sums over them.
	detail bool
	guard  string
	// vars are the variables that the dashboard filters by.
	vars []string
	// missing collects the filters that a series of sums can't be asked for.
	missing map[string]bool
}

// recordedSets are the label sets that internal/rule/shipped/recording.yml has of each series, project and team left
// out, the smaller ones first. A test compares the two.
func recordedSets() map[string][][]string {
	sets := map[string][][]string{
		conv.PromAITeamTasksTotal:          {{"status"}},
		conv.PromAITeamLLMCallsTotal:       {{"model"}, {"model", "agent"}},
		conv.PromAITeamLLMCostDollarsTotal: {{"model"}},
		conv.PromAITeamLLMTokensTotal: {
			{"model", "token_type"},
			{"agent"},
			{"model", "agent", "token_type"},
		},
		conv.PromAITeamLLMErrorsTotal:        {{"model", "error_type"}, {"model", "agent", "error_type"}},
		conv.PromAITeamAgentCallsTotal:       {{"status"}, {"agent", "status"}},
		conv.PromAITeamAgentCostDollarsTotal: {{"agent"}},
		conv.PromAITeamMessagesTotal:         {{"from_agent", "to_agent"}, {"to_agent", "type"}},
		conv.PromAITeamArtifactsTotal:        {{"agent"}},
		conv.PromAITeamRecordsTotal:          {{"agent"}},
		conv.PromAITeamHopsMissingTotal:      {{"hop"}},
		conv.PromAITeamPriceMissesTotal:      {{"model"}},

		conv.PromAITeamTaskDurationSeconds + "_bucket": {{"le"}},
		conv.PromAITeamLLMLatencySeconds + "_bucket":   {{"le"}, {"model", "le"}},
		conv.PromAITeamQualityScore + "_bucket":        {{"le"}},
	}
	for base, labels := range map[string][]string{
		conv.PromAITeamTaskDurationSeconds:  {"task_type"},
		conv.PromAITeamLLMLatencySeconds:    {"model"},
		conv.PromAITeamQualityScore:         {},
		conv.PromAITeamAgentDurationSeconds: {"agent"},
		conv.PromAITeamAgentQualityScore:    {"agent"},
	} {
		sets[base+"_sum"], sets[base+"_count"] = [][]string{labels}, [][]string{labels}
	}
	return sets
}

// recordedName is the name of a recorded series: its labels beside the project, what it was, and what was done to it.
func recordedName(series string, labels []string, operation string) string {
	return strings.Join(append([]string{"team"}, labels...), "_") + ":" + strings.TrimSuffix(series, "_total") + ":" + operation
}

// sumRate is a rate a second, summed by some labels (with commas; none: one sum).
func (r reading) sumRate(by, series string, match ...string) string {
	if r.every == "" {
		return sum(by, "rate("+series+r.match(series, match)+"[$__rate_interval])")
	}
	return sum(by, "avg_over_time("+r.series(by, series, match)+"[$__interval])")
}

// sumTotal is an increase over the time range.
func (r reading) sumTotal(by, series string, match ...string) string {
	if r.every == "" {
		return sum(by, "increase("+series+r.match(series, match)+"[$__range])")
	}
	return sum(by, "sum_over_time("+r.series(by, series, match)+"[$__range])") + map[string]string{every5m: " * 300", every1h: " * 3600"}[r.every]
}

// p95 is the 95th percentile of a histogram. The recorded one is of five minutes, so over a longer step it is the average of
// those, and of several teams it is the worst one's.
func (r reading) p95(by, base string) string {
	if r.every == "" {
		return "histogram_quantile(0.95, " + r.sumRate(by+", le", base+"_bucket") + ")"
	}
	return "max by (" + by + ") (avg_over_time(" + recordedName(base, split(by), "p95_"+r.every) + r.match(base, nil) + "[$__interval]))"
}

// gauge is a sum of gauges; over a longer step the recorded one is the highest.
func (r reading) gauge(series, aggregate string) string {
	if r.every == "" {
		return aggregate + "(" + series + r.match(series, nil) + ")"
	}
	return aggregate + "(max_over_time(" + recordedName(series, nil, "max"+r.every) + r.match(series, nil) + "[$__interval]))"
}

// series is the smallest recorded series that has the labels of by and match.
func (r reading) series(by, series string, match []string) string {
	need := split(by)
	for _, m := range match {
		need = append(need, m[:strings.IndexAny(m, "=!")])
	}
	filters := r.filters(series)
	if r.detail {
		for _, f := range filters {
			need = append(need, f.label)
		}
	}
	for _, set := range recordedSets()[series] {
		if !subset(need, append([]string{"project", "team"}, set...)) {
			continue
		}
		for _, f := range filters {
			if !slices.Contains(set, f.label) {
				r.missing[f.variable] = true
			}
		}
		return recordedName(series, set, "rate"+r.every) + r.matchOf(match, filters, set)
	}
	panic("BUG: no rule records " + series + " by " + strings.Join(need, ", "))
}

// filter is a label that a variable filters by.
type filter struct{ label, variable string }

// filters are the labels of a series that the dashboard's variables filter by.
func (r reading) filters(series string) []filter {
	var out []filter
	for _, m := range conv.Metrics() {
		if series != m.Prom && !strings.HasPrefix(series, m.Prom+"_") {
			continue
		}
		for _, l := range m.Labels {
			v := strings.TrimPrefix(l, "to_")
			if l != "from_agent" && slices.Contains(r.vars, v) {
				out = append(out, filter{l, v})
			}
		}
		return out
	}
	panic("BUG: " + series + " is not in the registry")
}

// match is the matchers of a selector.
func (r reading) match(series string, match []string) string {
	return r.matchOf(match, r.filters(series), nil)
}

// matchOf is match for a series that has only some labels; nil are all.
func (r reading) matchOf(match []string, filters []filter, labels []string) string {
	all := slices.Clone(match)
	for _, v := range []string{"project", "team"} {
		all = append(all, v+`=~"$`+v+`"`)
	}
	for _, f := range filters {
		if labels == nil || slices.Contains(labels, f.label) {
			all = append(all, f.label+`=~"$`+f.variable+`"`)
		}
	}
	switch r.every {
	case every5m:
		all = append(all, `long=~"$long"`, `week!~"$week"`)
	case every1h:
		all = append(all, `week=~"$week"`)
	default:
		all = append(all, `long!~"$long"`)
	}
	if r.guard != "" {
		all = append(all, r.guard)
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// asked is a query of a panel: an expression and the least step that it can be asked with.
type asked struct{ expr, least string }

// readings returns a panel's queries, the one of the series themselves first. Readings that can be asked with the same step
// are one query, joined by or: those that are switched off select nothing and cost nothing but a request of their own.
func readings(vars []string, expr func(reading) string, instant bool) []asked {
	out := []asked{{expr(reading{vars: vars}), ""}}
	for _, r := range []asked{{every5m, every5m}, {every1h, step1h}} {
		text := expanded(vars, expr, r.expr)
		if instant {
			out[0].expr += " or " + text
			continue
		}
		out = append(out, asked{text, r.least})
	}
	return out
}

// expanded is a reading of what is recorded in an interval: of the sums, or of what tells all filters apart, where
// those are two series.
func expanded(vars []string, expr func(reading) string, every string) string {
	sums := reading{every: every, vars: vars, missing: map[string]bool{}}
	text := expr(sums)
	if len(sums.missing) > 1 {
		panic("BUG: recorded series lack several filters: " + text)
	}
	for v := range sums.missing {
		detail := sums
		sums.guard = "all_" + v + `=~"$` + v + `"`
		detail.detail, detail.guard = true, "all_"+v+`!~"$`+v+`"`
		text = expr(sums) + " or " + expr(detail)
	}
	return text
}

func sum(by, of string) string {
	if by == "" {
		return "sum(" + of + ")"
	}
	return "sum by (" + by + ") (" + of + ")"
}

func split(by string) []string {
	if by == "" {
		return nil
	}
	var out []string
	for l := range strings.SplitSeq(by, ",") {
		out = append(out, strings.TrimSpace(l))
	}
	return out
}

func subset(of, in []string) bool {
	for _, s := range of {
		if !slices.Contains(in, s) {
			return false
		}
	}
	return true
}
