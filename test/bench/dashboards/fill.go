package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/rule"
)

// The teams that the month is of: 50 agents, and each of them asks 10 models.
const (
	teams, agents, models = 5, 10, 10
	blockLength           = 54 * time.Hour // what a month's blocks are merged to
	coarse, fine          = time.Hour, 15 * time.Second
	fineFor               = 6 * time.Hour
)

// line is a series to fill.
type line struct {
	labels  labels.Labels
	every   time.Duration
	counter bool
	// fine series are those that the rules read: a sample every 15 s in the last hours, and before that only as many as keep
	// them in every block's index, since nothing reads them over long ranges.
	fine bool
	sum  float64
}

// values are those that a label has within a team.
func values(name string, team int, le []float64) []string {
	numbered := func(prefix string, from, n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("%s-%02d", prefix, from+i))
		}
		return out
	}
	switch name {
	case "project":
		return []string{"default"}
	case "team":
		return numbered("team", team, 1)
	case "agent", "to_agent":
		return numbered("agent", team*agents, agents)
	case "from_agent":
		return []string{"orchestrator"}
	case "model":
		return numbered("model", 0, models)
	case "task_type":
		return []string{"article", "review", "translation"}
	case "token_type":
		return []string{"input", "cache_read", "cache_write", "output", "reasoning"}
	case "error_type":
		return []string{"429", "timeout"}
	case "status":
		return []string{"pending", "completed", "failed"}
	case "type":
		return []string{"COMMAND", "RESULT"}
	case "hop":
		return []string{"message", "llm", "record", "artifact", "log", "span"}
	case "budget", "period":
		return []string{"day"}
	case "le":
		var out []string
		for _, b := range le {
			out = append(out, strconv.FormatFloat(b, 'f', -1, 64))
		}
		return append(out, "+Inf")
	}
	panic("the label " + name + " has no values")
}

// cross are all series of a name with these labels.
func cross(name string, names []string, le []float64) []labels.Labels {
	var out []labels.Labels
	for team := range teams {
		sets := []map[string]string{{model.MetricNameLabel: name}}
		for _, n := range names {
			var next []map[string]string
			for _, s := range sets {
				for _, v := range values(n, team, le) {
					one := maps.Clone(s)
					one[n] = v
					next = append(next, one)
				}
			}
			sets = next
		}
		for _, s := range sets {
			out = append(out, labels.FromMap(s))
		}
	}
	return out
}

// lines are the series of the contract and what the shipped rules record of them.
func lines() ([]*line, error) {
	var all []*line
	add := func(series []labels.Labels, l line) {
		for _, ls := range series {
			one := l
			one.labels = ls
			all = append(all, &one)
		}
	}
	buckets := map[string][]float64{}
	target := []string{"project", "team"}
	for _, m := range conv.Metrics() {
		if !strings.HasPrefix(m.Prom, "ai_team_") {
			continue // no dashboard reads the others
		}
		names := append(slices.Clone(target), m.Labels...)
		raw := line{every: coarse, counter: m.Instrument != "gauge", fine: true}
		if m.Instrument != "histogram" {
			add(cross(m.Prom, names, nil), raw)
			continue
		}
		buckets[m.Prom] = m.Buckets
		add(cross(m.Prom+"_sum", names, nil), raw)
		add(cross(m.Prom+"_count", names, nil), raw)
		add(cross(m.Prom+"_bucket", append(names, "le"), m.Buckets), raw)
	}
	files, err := rule.Shipped(rule.DefaultThresholds())
	if err != nil {
		return nil, err
	}
	p := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse(files["recording.yml"], false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		return nil, fmt.Errorf("read rules: %w", errs[0])
	}
	known := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			known[r.Record] = r
			of := r
			if m := regexp.MustCompile(`_over_time\((\S+)\[1h\]`).FindStringSubmatch(r.Expr); m != nil {
				of = known[m[1]] // what is recorded by the hour has the labels of what it is made of
			}
			names, le, err := recordedLabels(p, of, buckets)
			if err != nil {
				return nil, err
			}
			add(cross(r.Record, names, le), line{every: time.Duration(g.Interval)})
		}
	}
	return all, nil
}

// recordedLabels are the labels of a recorded series: those of its outermost aggregation.
func recordedLabels(p parser.Parser, r rulefmt.Rule, buckets map[string][]float64) (names []string, le []float64, err error) {
	expr, err := p.ParseExpr(r.Expr)
	if err != nil {
		return nil, nil, fmt.Errorf("read rule %s: %w", r.Record, err)
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok && names == nil {
			names = slices.Clone(a.Grouping)
		}
		return nil
	})
	if strings.Contains(r.Expr, "histogram_quantile") {
		names = slices.DeleteFunc(names, func(l string) bool { return l == "le" })
	}
	for name, bounds := range buckets {
		if strings.Contains(r.Expr, name+"_bucket") {
			le = bounds
		}
	}
	return names, le, nil
}

// filled is what fill wrote.
type filled struct {
	Series, Recorded int
	Samples          int64
}

// fill writes blocks of the month before end into the folder of metrics below data.
func fill(ctx context.Context, data string, days int, end time.Time) (filled, error) {
	all, err := lines()
	if err != nil {
		return filled{}, err
	}
	var done filled
	for _, l := range all {
		if done.Series++; !l.fine {
			done.Recorded++
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	length := blockLength.Milliseconds()
	first := end.Add(-time.Duration(days) * 24 * time.Hour)
	for from := first.UnixMilli() / length * length; from < end.UnixMilli(); from += length {
		n, err := block(ctx, filepath.Join(data, "metrics"), all, max(from, first.UnixMilli()), min(from+length, end.UnixMilli()), end, rnd)
		if err != nil {
			return filled{}, err
		}
		done.Samples += n
	}
	return done, nil
}

// block writes the samples from one time to another, milliseconds.
func block(ctx context.Context, dir string, all []*line, from, to int64, end time.Time, rnd *rand.Rand) (int64, error) {
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 2*blockLength.Milliseconds()) // it takes samples of half that span
	if err != nil {
		return 0, fmt.Errorf("make block: %w", err)
	}
	var written int64
	for _, l := range all {
		app := w.Appender(ctx)
		var at storage.SeriesRef
		step := l.every.Milliseconds()
		for t := (from + step - 1) / step * step; t < to; {
			if l.counter {
				l.sum += float64(rnd.IntN(20))
			} else {
				l.sum = rnd.Float64()
			}
			if at, err = app.Append(at, l.labels, t, l.sum); err != nil {
				return 0, fmt.Errorf("write sample of %s: %w", l.labels, err)
			}
			written++
			if l.fine && t >= end.Add(-fineFor).UnixMilli() {
				t += fine.Milliseconds()
			} else {
				t += step
			}
		}
		if err := app.Commit(); err != nil {
			return 0, fmt.Errorf("write samples: %w", err)
		}
	}
	if _, err := w.Flush(ctx); err != nil {
		return 0, fmt.Errorf("write block: %w", err)
	}
	if err := w.Close(); err != nil {
		return 0, fmt.Errorf("close block: %w", err)
	}
	return written, nil
}
