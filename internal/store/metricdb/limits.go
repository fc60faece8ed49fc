package metricdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Limits bound one series. The zero value of a field means its default.
type Limits struct {
	// Labels is the number of labels of a series, 128 by default.
	Labels int
	// NameBytes and ValueBytes bound a label's name and value, 256 and 4096 by default.
	NameBytes, ValueBytes int
}

func (l Limits) withDefaults() Limits {
	if l.Labels <= 0 {
		l.Labels = 128
	}
	if l.NameBytes <= 0 {
		l.NameBytes = 256
	}
	if l.ValueBytes <= 0 {
		l.ValueBytes = 4096
	}
	return l
}

// ErrLimit marks a sample whose series is over a limit.
var ErrLimit = errors.New("series over the limits")

// check returns an error marked ErrLimit that says which limit a series breaks. The text is cut: a value of a megabyte
// must not reach a log.
func (l Limits) check(ls labels.Labels) error {
	if n := ls.Len(); n > l.Labels {
		return fmt.Errorf("%w: %d labels, at most %d are taken", ErrLimit, n, l.Labels)
	}
	return ls.Validate(func(label labels.Label) error {
		if len(label.Name) > l.NameBytes {
			return fmt.Errorf("%w: a label name of %d bytes, at most %d are taken: %.40q…", ErrLimit, len(label.Name), l.NameBytes, label.Name)
		}
		if len(label.Value) > l.ValueBytes {
			return fmt.Errorf("%w: a value of %d bytes in label %s, at most %d are taken: %.40q…", ErrLimit, len(label.Value), label.Name, l.ValueBytes, label.Value)
		}
		return nil
	})
}

// Reasons for refusing a sample; values of the metric's label.
const (
	ReasonLimit     = "limit"
	ReasonDuplicate = "duplicate"
	ReasonTooOld    = "too_old"
	ReasonTooNew    = "too_new"
	ReasonInvalid   = "invalid"
	ReasonOwned     = "owned_by_server"
)

// reasonOf says why the database refused one sample, "" when the failure is not the sample's: a full disk, a closed
// database.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrLimit):
		return ReasonLimit
	case errors.Is(err, errOwned):
		return ReasonOwned
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return ReasonDuplicate
	case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds):
		return ReasonTooOld
	case errors.Is(err, errTooNew):
		return ReasonTooNew
	case errors.Is(err, tsdb.ErrInvalidSample), errors.Is(err, storage.ErrNativeHistogramsDisabled):
		return ReasonInvalid
	}
	if _, ok := errors.AsType[histogram.Error](err); ok {
		return ReasonInvalid
	}
	return ""
}

var (
	errTooNew = errors.New("sample is more than ten minutes ahead of the server's clock")
	errOwned  = errors.New("series is counted by the server itself")
)

// refusals counts refused samples by reason.
type refusals struct {
	samples *prometheus.CounterVec
	mu      sync.Mutex
	total   map[string]uint64
}

func newRefusals(reg prometheus.Registerer) *refusals {
	r := &refusals{
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mindscope_metrics_samples_refused_total",
			Help: "Samples that were not stored, by reason.",
		}, []string{"reason"}),
		total: map[string]uint64{},
	}
	if reg != nil {
		reg.MustRegister(r.samples)
	}
	return r
}

func (r *refusals) add(reason string) {
	r.samples.WithLabelValues(reason).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total[reason]++
}

// Refused returns how many samples were refused since Open, by reason.
func (d *DB) Refused() map[string]uint64 {
	d.refused.mu.Lock()
	defer d.refused.mu.Unlock()
	return maps.Clone(d.refused.total)
}

// guarded makes appenders that keep the limits and note the descriptions of metrics.
type guarded struct{ d *DB }

func (g guarded) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &guardedAppender{AppenderV2: g.d.tsdb.AppenderV2(ctx), d: g.d}
}

// FromSenders returns an Appendable for series that come from outside. Those that the server counts itself are dropped and
// counted, without an error (docs/metrics.md: Who counts). A sample that is refused for its own sake is an
// storage.ErrOutOfBounds, which scrapes and remote write take for what it is: the other samples are stored.
func (d *DB) FromSenders() storage.AppendableV2 { return senders{d} }

type senders struct{ d *DB }

type itself struct{ d *DB }

func (i itself) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &guardedAppender{AppenderV2: i.d.tsdb.AppenderV2(ctx), d: i.d, zero: true}
}

func (s senders) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &guardedAppender{AppenderV2: s.d.tsdb.AppenderV2(ctx), d: s.d, ctx: ctx, foreign: true, quiet: true}
}

// guardedAppender is an appender behind the limits.
type guardedAppender struct {
	storage.AppenderV2

	d *DB
	// ctx is that of a foreign one.
	ctx context.Context //nolint:containedctx // an appender lives as long as the request
	// foreign is set when the samples come from outside, marked when their sender counts by itself.
	foreign, marked bool
	// quiet is set when what is dropped is no error to the sender.
	quiet bool
	// brought are series from which the server takes over when this commit is done.
	brought []handover
	// zero is set when a start time becomes a sample of zero. Stock Prometheus has that off, and so have we for what
	// comes from outside: equal samples give equal results.
	zero bool
	// looked is set when noRoom is known: why nothing may be written.
	looked bool
	noRoom error
}

// room returns why nothing may be written; it looks once, before the first sample makes anything.
func (a *guardedAppender) room() error {
	if !a.looked {
		a.looked, a.noRoom = true, a.d.cfg.Room()
	}
	return a.noRoom
}

// Append implements storage.AppenderV2.
func (a *guardedAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if err := a.room(); err != nil {
		return 0, err
	}
	if a.foreign {
		if refused, took := a.d.refuse(ls, a.marked); refused {
			return 0, a.drop(ls, t, took)
		}
	}
	if ref == 0 {
		if err := a.d.cfg.Limits.check(ls); err != nil {
			a.d.refused.add(reasonOf(err))
			return 0, refusedError{err}
		}
	}
	if !a.zero && !a.d.cfg.StartTimestamps {
		st = 0
	}
	a.d.families.note(ls.Get(model.MetricNameLabel), opts.MetricFamilyName, opts.Metadata)
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if reason := reasonOf(err); err != nil && reason != "" {
		a.d.refused.add(reason)
		if a.foreign && errors.Is(err, storage.ErrTooOldSample) {
			err = refusedError{err} // a scrape does not know it
		}
	}
	return ref, err
}

// AppendExemplars implements storage.ExemplarAppenderV2, which remote write needs.
func (a *guardedAppender) AppendExemplars(ref storage.SeriesRef, ls labels.Labels, es []exemplar.Exemplar) (storage.SeriesRef, error) {
	if to, ok := a.AppenderV2.(storage.ExemplarAppenderV2); ok {
		return to.AppendExemplars(ref, ls, es)
	}
	return ref, nil
}

// drop counts a sample that the server counts itself.
func (a *guardedAppender) drop(ls labels.Labels, t int64, took bool) error {
	a.d.refused.add(ReasonOwned)
	if took {
		a.brought = append(a.brought, handover{ls.Copy(), t})
		// It ends here, or its last value would be read for minutes.
		if _, err := a.AppenderV2.Append(0, ls, 0, t, math.Float64frombits(value.StaleNaN), nil, nil, storage.AOptions{}); err != nil {
			return err
		}
	}
	if a.quiet {
		return nil
	}
	return errOwned
}

// Commit implements storage.AppenderV2.
func (a *guardedAppender) Commit() error {
	err := a.AppenderV2.Commit()
	if len(a.brought) > 0 {
		a.d.takeOver(a.ctx, a.brought)
	}
	return err
}

// refusedError is an error of one sample. Prometheus' scrapes and remote write take an unknown error for one of the
// database: they would drop all other samples, or have them sent again for ever.
type refusedError struct{ error }

func (e refusedError) Unwrap() error        { return e.error }
func (e refusedError) Is(target error) bool { return target == storage.ErrOutOfBounds }
