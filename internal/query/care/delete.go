package care

import (
	"context"
	"fmt"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Receipt says what a removal did.
type Receipt struct {
	Project signal.Project
	// What was to be removed, for people. It never holds the expression of a scrub: that may be the secret.
	What string
	// DryRun says that nothing was removed: the figures are what would be.
	DryRun bool
	At     time.Time
	Took   time.Duration
	// Rows counts what was removed, of a scrub what was rewritten, by kind.
	Rows map[store.Kind]int64
	// Expired counts rows that a scrub removed instead of rewriting them: they passed their retention meanwhile.
	Expired int64
	// MayRemain names what the removal did not reach and may still hold it.
	MayRemain []string
}

// Total is the number of rows of all kinds.
func (r *Receipt) Total() int64 {
	var n int64
	for _, k := range r.Rows {
		n += k
	}
	return n
}

// count adds rows of a kind.
func (r *Receipt) count(k store.Kind, n int64) {
	if n > 0 {
		r.Rows[k] += n
	}
}

// mayRemain is what no removal reaches.
func mayRemain() []string {
	return []string{
		"labels of metrics: names of teams, agents, models, tools, providers, services, spans and tables, types of tasks, messages and errors, and" +
			" what senders put on metrics of their own; they stay in the counters (wal/checkpoint), and in DATA/metrics until metrics.retention, with" +
			" ids of traces. Where they hold what must go: stop the server, remove both, start it again; counters and all metrics begin anew",
		"names of services: the index of a day's events keeps them until the day goes with the retention",
		"deletions.jsonl: ids of rows and traces, without content, until the retention has passed",
		"wal/checkpoint.damaged, where a damaged disk left one: remove it",
		"backups made before: a restore of one deletes again only what its file deletions.jsonl names (mindscope backup --deletions DIR brings it up to date)",
		"collectors and other back ends that the senders or a tee feed",
		"the agents' own logs, message queues, databases and artifact stores",
		"snapshots and copies of the disk that the machine or its provider makes",
	}
}

// Delete removes the rows of a target, and the payloads that no other row uses. With dryRun it only counts. It returns
// store.ErrNotFound when there is none.
func (c *Care) Delete(ctx context.Context, p signal.Project, t Target, dryRun bool) (*Receipt, error) {
	if !c.busy.TryLock() {
		return nil, ErrBusy
	}
	defer c.busy.Unlock()
	start := c.clock()
	filters, err := c.filters(ctx, p, t)
	if err != nil {
		return nil, err
	}
	r := &Receipt{Project: p, What: t.String(), DryRun: dryRun, At: start.UTC(), Rows: map[store.Kind]int64{}, MayRemain: mayRemain()}
	for _, k := range kinds() {
		s := store.Scope{Kind: k, Time: signal.AllTime(), Filter: store.Or(filters)}
		var n int64
		if dryRun {
			n, err = c.count(ctx, p, s)
		} else {
			n, err = c.events.Delete(ctx, p, s)
		}
		if err != nil {
			return nil, fmt.Errorf("delete %ss of %s: %w", k, t, err)
		}
		r.count(k, n)
	}
	if r.Total() == 0 {
		return nil, fmt.Errorf("%s: %w", t, store.ErrNotFound)
	}
	r.Took = c.clock().Sub(start)
	return r, nil
}
