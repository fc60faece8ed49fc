package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/test/load"
)

// ratios sends the same requests to the server and to the baseline, in turn, and divides what they cost: of processor time the least
// of all rounds, since what else runs on the machine only ever adds to it, of everything else the median.
func ratios(ctx context.Context, dir string, s size, r report) error {
	for _, name := range s.Workloads {
		w := load.Workload(name)
		tasks := s.ArticleTasks
		if w == load.Loop {
			tasks = s.LoopTasks
		}
		figures := map[string][]float64{}
		for round := range s.Rounds {
			roles := []string{"plain", "server"}
			if round%2 == 1 {
				slices.Reverse(roles)
			}
			if err := compare(ctx, filepath.Join(dir, fmt.Sprintf("%s-%d", w, round)), w, roles, tasks, figures); err != nil {
				return err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(figures)) {
			of := median
			if strings.HasSuffix(name, "_cpu_s") {
				of = slices.Min[[]float64]
			}
			r.set(string(w)+"_"+name, of(figures[name]))
		}
		r.set(string(w)+"_cpu_ratio", slices.Min(figures["server_cpu_s"])/slices.Min(figures["plain_cpu_s"]))
	}
	return nil
}

// compare adds the figures of one round.
func compare(ctx context.Context, dir string, w load.Workload, roles []string, tasks int, figures map[string][]float64) error {
	cost := map[string]usage{}
	add := func(name string, figure float64) { figures[name] = append(figures[name], figure) }
	for _, role := range roles {
		u, total, err := ingest(ctx, role, filepath.Join(dir, role), w, tasks)
		if err != nil {
			return err
		}
		cost[role] = u
		if role == "plain" {
			add("wire_mb", float64(total.bytes)/1e6)
			add("spans", float64(total.spans))
		}
		add(role+"_cpu_s", u.CPU)
		add(role+"_disk_mb", float64(u.Disk)/1e6)
		add(role+"_peak_rss_mb", u.PeakMB)
		add(role+"_spans_per_s", float64(total.spans)/total.took.Seconds())
	}
	add("disk_ratio", float64(cost["server"].Disk)/float64(cost["plain"].Disk))
	return os.RemoveAll(dir)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// ingest sends tasks to a child and returns what they cost it, writing to disk included.
func ingest(ctx context.Context, role, dir string, w load.Workload, tasks int) (usage, sent, error) {
	var u usage
	c, err := startChild(ctx, role, dir)
	if err != nil {
		return u, sent{}, err
	}
	g, err := load.New(w, 1)
	if err != nil {
		return u, sent{}, err
	}
	total, err := send(ctx, c.ready, g, w.Spans(), func(task int) bool { return task < tasks })
	if err != nil {
		return u, total, err
	}
	return u, total, c.end(&u)
}
