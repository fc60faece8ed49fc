package metricdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/mindscope/mindscope/internal/conv"
)

// labelMark says of a series that its sender counts by itself, as the attribute ai_team.metrics says it of a resource.
const (
	labelMark = "ai_team_metrics"
	markSDK   = "sdk"
)

// Counted tells whether, and since when (nanoseconds), the server counts the metrics of the contract itself for a team. An
// empty team is any of the project's.
type Counted func(project, team string) (since int64, counted bool)

// contract knows the series that have one owner (docs/metrics.md: Who counts).
type contract struct {
	// always is by name of a series: whether the server alone counts it. Series that are not of the contract are absent.
	always map[string]bool

	mu sync.Mutex
	// kept are the series of the contract that senders brought and that were stored, by their hash.
	kept map[uint64]labels.Labels
	told map[string]bool // names of which the log has heard
}

// maxKept bounds the brought series that are remembered; what is beyond stays in the database when the server takes over.
const maxKept = 50_000

func newContract() *contract {
	c := &contract{always: map[string]bool{}, kept: map[uint64]labels.Labels{}, told: map[string]bool{}}
	for _, m := range conv.Metrics() {
		base := strings.TrimSuffix(m.Prom, "_total")
		for _, name := range []string{m.Prom, base + "_created"} {
			c.always[name] = m.ServerOnly
		}
		if m.Instrument == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				c.always[m.Prom+suffix] = m.ServerOnly
			}
		}
	}
	return c
}

// refuse tells whether a series that a sender brings is dropped, since the server counts the same. took is set when the
// server has taken over from the sender: the series was stored before.
func (d *DB) refuse(ls labels.Labels, marked bool) (refused, took bool) {
	name := ls.Get(model.MetricNameLabel)
	// Almost no series is of the contract, and this is asked for each sample.
	if !strings.HasPrefix(name, "ai_team_") && !strings.HasPrefix(name, "gen_ai_client_") {
		return false, false
	}
	always, known := d.contract.always[name]
	switch {
	case !known:
		return false, false
	case always:
		return true, false
	case marked || ls.Get(labelMark) == markSDK || d.cfg.Counted == nil:
		return false, false
	}
	_, counted := d.cfg.Counted(owner(ls))
	d.contract.mu.Lock()
	defer d.contract.mu.Unlock()
	hash := ls.Hash()
	_, had := d.contract.kept[hash]
	if !counted {
		if !had && len(d.contract.kept) < maxKept {
			d.contract.kept[hash] = ls.Copy()
		}
		return false, false
	}
	if !d.contract.told[name] {
		d.contract.told[name] = true
		d.cfg.Logger.Info("series that a sender brings are dropped: the server counts the same from spans; docs/metrics.md says how a sender can count by itself", "metric", name)
	}
	delete(d.contract.kept, hash)
	return true, had
}

// owner returns the project and team of a series, "" for a team that is only the default of who names none.
func owner(ls labels.Labels) (project, team string) {
	project, team = ls.Get(labelProject), ls.Get(labelTeam)
	if project == "" {
		project = "default"
	}
	if team == "default" {
		team = ""
	}
	return project, team
}

// handover is a series that a sender brought until the server took over.
type handover struct {
	labels labels.Labels
	at     int64 // milliseconds
}

// maxTakenBack bounds what is deleted when the server takes over: when it began to count is told by a span, whose clock
// is its sender's and which may have been sent late.
const maxTakenBack = time.Hour

// takeOver deletes the samples of brought series from when the server began to count on: they count the same twice.
func (d *DB) takeOver(ctx context.Context, brought []handover) {
	ctx = context.WithoutCancel(ctx)
	oldest := d.cfg.Clock().Add(-maxTakenBack).UnixMilli()
	for _, h := range brought {
		since, _ := d.cfg.Counted(owner(h.labels))
		from := max(since/1e6, oldest)
		if from >= h.at {
			continue
		}
		matchers, err := d.exactly(ctx, h.labels, from, h.at)
		if err == nil {
			err = d.tsdb.Delete(ctx, from, h.at-1, matchers...)
		}
		if err != nil {
			d.cfg.Logger.Error("series that a sender brought count twice for a while", "series", h.labels.String(), "error", err)
		}
	}
}

// exactly returns what matches one series alone. Its labels would match those that have more of them, too: the server's
// own, and those of other teams and senders.
func (d *DB) exactly(ctx context.Context, ls labels.Labels, from, until int64) ([]*labels.Matcher, error) {
	matchers := make([]*labels.Matcher, 0, ls.Len())
	ls.Range(func(l labels.Label) {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	q, err := d.tsdb.Querier(from, until)
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	defer func() { _ = q.Close() }() // only read
	names, _, err := q.LabelNames(ctx, nil, matchers...)
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	for _, name := range names {
		if !ls.Has(name) {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, ""))
		}
	}
	return matchers, nil
}
