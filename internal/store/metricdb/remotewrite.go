package metricdb

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// FromOldWriters is FromSenders for remote write, version 1. Prometheus drops the whole request there for one sample that is
// refused, and the sender never sends the others again; here they are stored, and Commit says what was refused, as an
// storage.ErrOutOfBounds.
func (d *DB) FromOldWriters() storage.AppendableV2 { return oldWriters{d} }

type oldWriters struct{ d *DB }

func (w oldWriters) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &lenientAppender{AppenderV2: w.d.FromSenders().AppenderV2(ctx)}
}

// lenientAppender goes on after samples that are refused for their own sake.
type lenientAppender struct {
	storage.AppenderV2

	refused int
	first   error
}

// Append implements storage.AppenderV2.
func (a *lenientAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil || reasonOf(err) == "" {
		return ref, err
	}
	if a.refused++; a.first == nil {
		a.first = err
	}
	return 0, nil
}

// AppendExemplars implements storage.ExemplarAppenderV2.
func (a *lenientAppender) AppendExemplars(ref storage.SeriesRef, ls labels.Labels, es []exemplar.Exemplar) (storage.SeriesRef, error) {
	if to, ok := a.AppenderV2.(storage.ExemplarAppenderV2); ok && ref != 0 {
		return to.AppendExemplars(ref, ls, es)
	}
	return ref, nil
}

// Commit implements storage.AppenderV2.
func (a *lenientAppender) Commit() error {
	if err := a.AppenderV2.Commit(); err != nil || a.refused == 0 {
		return err
	}
	return refusedError{fmt.Errorf("%d samples are refused, the others are stored; the first: %w", a.refused, a.first)}
}
