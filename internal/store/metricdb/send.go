package metricdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
)

// flushLimit bounds how long a stop waits for what is to be sent; Prometheus' own.
const flushLimit = time.Minute

// Sending is the remote write of everything that is stored to where a prometheus.yml says. It reads the database's log,
// as Prometheus does: what can't be sent for two hours is lost to the receiver, and nothing else waits for it.
type Sending struct{ out *remote.WriteStorage }

// Send starts to send; Apply says where. The descriptions of scraped metrics come from scrapes, which may be nil.
func (d *DB) Send(scrapes *scrape.Manager) *Sending {
	out := remote.NewWriteStorage(d.cfg.Logger.With("component", "remote write"), d.cfg.Registerer, d.tsdb.Dir(), flushLimit, ready{scrapes}, false)
	d.tsdb.SetWriteNotified(out)
	return &Sending{out}
}

// ready gives Prometheus' library the scrapes.
type ready struct{ m *scrape.Manager }

func (r ready) Get() (*scrape.Manager, error) {
	if r.m == nil {
		return nil, errors.New("nothing is scraped")
	}
	return r.m, nil
}

// Apply makes the remote_write section of cfg the one in force.
func (s *Sending) Apply(cfg *config.Config) error {
	if err := s.out.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("apply remote_write: %w", err)
	}
	return nil
}

// Stop sends what is queued, for a minute at most, and ends.
func (s *Sending) Stop() error {
	if err := s.out.Close(); err != nil {
		return fmt.Errorf("stop remote write: %w", err)
	}
	return nil
}

// Nowhere takes samples and keeps none: rules that work on a Prometheus outside have no database of ours.
type Nowhere struct{}

// AppenderV2 implements storage.AppendableV2.
func (Nowhere) AppenderV2(context.Context) storage.AppenderV2 { return nothing{} }

type nothing struct{}

func (nothing) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram, storage.AOptions) (storage.SeriesRef, error) {
	return 0, nil
}

func (nothing) AppendExemplars(storage.SeriesRef, labels.Labels, []exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, nil
}
func (nothing) Commit() error   { return nil }
func (nothing) Rollback() error { return nil }
