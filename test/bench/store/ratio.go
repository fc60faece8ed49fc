package main

import (
	"context"
	"path/filepath"

	"github.com/mindscope/mindscope/test/load"
)

// spansOf says how many spans a task has.
func spansOf(w load.Workload) int {
	if w == load.Article {
		return 21
	}
	return 121
}

// ratios sends the same requests to the server and to the baseline and divides what they cost.
func ratios(ctx context.Context, dir string, s size, r report) error {
	for w, tasks := range map[load.Workload]int{load.Article: s.ArticleTasks, load.Loop: s.LoopTasks} {
		name := "store." + string(w)
		cost := map[string]usage{}
		for _, role := range []string{"plain", "server"} {
			u, total, err := ingest(ctx, role, filepath.Join(dir, string(w)+"-"+role), w, tasks)
			if err != nil {
				return err
			}
			cost[role] = u
			r.set(name+".wire_mb", float64(total.bytes)/1e6)
			r.set(name+".spans", float64(total.spans))
			r.set(name+"."+role+".cpu_s", u.CPU)
			r.set(name+"."+role+".disk_mb", float64(u.Disk)/1e6)
			r.set(name+"."+role+".peak_rss_mb", u.PeakMB)
			r.set(name+"."+role+".spans_per_s", float64(total.spans)/total.took.Seconds())
		}
		r.set(name+".cpu_ratio", cost["server"].CPU/cost["plain"].CPU)
		r.set(name+".disk_ratio", float64(cost["server"].Disk)/float64(cost["plain"].Disk))
	}
	return nil
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
	total, err := send(ctx, c.ready, g, spansOf(w), func(task int) bool { return task < tasks })
	if err != nil {
		return u, total, err
	}
	return u, total, c.end(&u)
}
