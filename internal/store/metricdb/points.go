package metricdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// The target labels that every series carries beside job and instance.
const (
	labelProject = "project"
	labelTeam    = "team"
)

const (
	// maxAhead is how far ahead of the server's clock a sample may be; Prometheus' own rule for what is pushed.
	maxAhead = 10 * time.Minute
	// infoEvery is how often target_info is written within a batch: Prometheus' look-back.
	infoEvery = 5 * time.Minute
)

// Points stores OpenTelemetry metrics: underscored names with suffixes, deltas summed up to cumulative series first.
// Points that can't be stored are counted in Rejected with the reason; the others are stored.
//
// md is changed: the target labels are added to its resources.
func (d *DB) Points(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	if err := d.cfg.Room(); err != nil { // before deltas are summed up: the sender sends them again
		return signal.Rejected{}, fmt.Errorf("append metrics: %w", err)
	}
	for _, rm := range md.ResourceMetrics().All() {
		setTarget(rm.Resource().Attributes(), p)
	}
	return d.deltas.consume(ctx, md)
}

// setTarget writes the labels project and team beside a resource's attributes.
func setTarget(attrs pcommon.Map, p signal.Project) {
	team := "default"
	for _, key := range []string{conv.ServiceNamespace, conv.AITeamTeam} {
		if v, ok := attrs.Get(key); ok && v.AsString() != "" {
			team = v.AsString()
		}
	}
	attrs.PutStr(labelProject, string(p))
	attrs.PutStr(labelTeam, team)
}

// store translates cumulative metrics and writes them. Senders that count by themselves are a commit of their own.
func (d *DB) store(ctx context.Context, md pmetric.Metrics) (signal.Rejected, error) {
	n := 0
	for _, rm := range md.ResourceMetrics().All() {
		if countsItself(rm) {
			n++
		}
	}
	if n == 0 || n == md.ResourceMetrics().Len() {
		return d.storePart(ctx, md, n > 0)
	}
	plain, marked := pmetric.NewMetrics(), pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
		to := plain
		if countsItself(rm) {
			to = marked
		}
		rm.CopyTo(to.ResourceMetrics().AppendEmpty())
	}
	rejected, err := d.storePart(ctx, plain, false)
	if err != nil {
		return signal.Rejected{}, err
	}
	more, err := d.storePart(ctx, marked, true)
	if err != nil {
		return signal.Rejected{}, err
	}
	rejected.Merge(more)
	return rejected, nil
}

// countsItself tells whether the resource says that its sender counts by itself.
func countsItself(rm pmetric.ResourceMetrics) bool {
	v, ok := rm.Resource().Attributes().Get(conv.AITeamMetrics)
	return ok && v.AsString() == markSDK
}

func (d *DB) storePart(ctx context.Context, md pmetric.Metrics, marked bool) (signal.Rejected, error) {
	app := &pointAppender{
		AppenderV2: &guardedAppender{AppenderV2: d.tsdb.AppenderV2(ctx), d: d, ctx: ctx, foreign: true, marked: marked},
		refused:    d.refused,
		newest:     d.cfg.Clock().Add(maxAhead).UnixMilli(),
	}
	converter := prometheusremotewrite.NewPrometheusConverter(app)
	warnings, err := converter.FromMetrics(ctx, md, prometheusremotewrite.Settings{
		AddMetricSuffixes: true,
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{
			PromoteResourceAttributes: []string{labelProject, labelTeam},
		}),
		LookbackDelta: infoEvery,
	})
	if app.fatal != nil {
		return signal.Rejected{}, errors.Join(fmt.Errorf("append metrics: %w", app.fatal), app.Rollback())
	}
	if err != nil { // of the translation: what it names was left out, the rest is in the appender
		app.reject(max(1, countErrors(err)), err.Error())
	}
	if texts, _ := warnings.AsStrings("", 3, 0); len(texts) > 0 {
		d.cfg.Logger.Debug("metrics were translated with warnings", "warnings", texts)
	}
	if err := app.Commit(); err != nil {
		return signal.Rejected{}, fmt.Errorf("commit metrics: %w", err)
	}
	return app.rejected, nil
}

// countErrors counts the leaves of joined errors.
func countErrors(err error) int {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		n := 0
		for _, e := range joined.Unwrap() {
			n += countErrors(e)
		}
		return n
	}
	return 1
}

// pointAppender keeps one bad point from costing the whole request: it counts what the database refuses for the sample's
// own sake, and ends at the first failure that isn't.
type pointAppender struct {
	storage.AppenderV2

	refused  *refusals
	newest   int64 // milliseconds
	rejected signal.Rejected
	fatal    error
}

// Append implements storage.AppenderV2.
func (a *pointAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if t > a.newest {
		a.refused.add(ReasonTooNew)
		a.count(ls, opts, errTooNew)
		return 0, nil
	}
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		return ref, nil
	}
	if _, hard := (*storage.AppendPartialError)(nil).Handle(err); hard == nil {
		return ref, nil // the sample is stored, an exemplar of it is not
	}
	if reasonOf(err) == "" {
		a.fatal = err
		return 0, err
	}
	a.count(ls, opts, err)
	return 0, nil
}

// count counts a point once, though a histogram becomes many series.
func (a *pointAppender) count(ls labels.Labels, opts storage.AOptions, err error) {
	name := ls.Get(model.MetricNameLabel)
	if name != opts.MetricFamilyName && !strings.HasSuffix(name, "_count") {
		return
	}
	a.reject(1, err.Error())
}

func (a *pointAppender) reject(n int, why string) { a.rejected.Add(int64(n), why) }
