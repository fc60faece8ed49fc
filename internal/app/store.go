package app

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

func (a *App) openStore(observer store.Observer) (store.Events, error) {
	if a.cfg.Memory {
		return memdb.New(memdb.Config{Retention: a.cfg.Retention, Observer: observer}), nil
	}
	db, err := eventdb.Open(a.cfg.Data, eventdb.Config{
		Retention: a.cfg.Retention, PayloadRetention: a.cfg.PayloadRetention,
		MaxDiskBytes: int64(a.cfg.Store.MaxDiskMiB) << 20, MinFreeBytes: int64(a.cfg.Store.MinFreeMiB) << 20,
		Nodes: a.cfg.Store.Nodes, PayloadNodes: a.cfg.Store.PayloadNodes, NodeAccount: uint32(a.cfg.Store.NodeAccount),
		NodeAuth: eventdb.NodeAuth{User: a.cfg.Store.NodeUser, Password: a.cfg.Store.NodePassword, PasswordFile: a.cfg.Store.NodePasswordFile},
		Sync:     eventdb.Sync(a.cfg.Store.Sync),
		Logger:   a.log.With("component", "eventdb"), Observer: observer, Redact: a.redactor.Text,
	})
	if err != nil {
		return nil, err // not db: a nil *DB in an interface is not nil
	}
	a.room = db.Room
	a.metrics.Gauge("mindscope_store_payloads_known", "Payloads that the store remembers to have stored.",
		func() float64 { return float64(db.PayloadCache().Known) })
	a.metrics.Counter("mindscope_store_payload_hits_total", "References to payloads that were stored already.",
		func() float64 { return float64(db.PayloadCache().Hits) })
	a.metrics.Counter("mindscope_store_payload_misses_total", "Payloads that were stored, some of them once more.",
		func() float64 { return float64(db.PayloadCache().Misses) })
	return db, nil
}

func (a *App) observeStore(events store.Events) {
	a.observeLog(events)
	a.metrics.Store(func() (self.StoreFigures, error) {
		st, err := events.Stats(context.Background())
		return self.StoreFigures{Rows: st.Rows, Bytes: st.Bytes, Evicted: st.Evicted, Refused: st.Refused, ReadOnly: st.ReadOnly}, err
	})
}

// observeLog adds the figures of the store's log.
func (a *App) observeLog(events store.Events) {
	db, ok := events.(*eventdb.DB)
	if !ok {
		return
	}
	a.metrics.Log(func() self.LogFigures { return self.LogFigures(db.Log()) })
}

// points returns what takes metrics.
func (a *App) points(m *metricsPart) func(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	if m.db == nil {
		return a.ignorePoints
	}
	return m.db.Points
}

// ignorePoints takes metrics without keeping them.
func (a *App) ignorePoints(_ context.Context, _ signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	a.metrics.PointsIgnored(md.DataPointCount())
	return signal.Rejected{}, nil
}

// Restore makes a data folder of a backup.
func Restore(from, dir string) error { return eventdb.Restore(from, dir) }
