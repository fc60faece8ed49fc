package metricdb

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// TestPromQL runs Prometheus' own acceptance tests of its query language on this database.
func TestPromQL(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	promqltest.RunBuiltinTestsWithStorage(t, engine, func(tb testing.TB) storage.Storage {
		tb.Helper()
		db, err := Open(tb.TempDir(), Config{Retention: 1 << 62, StartTimestamps: true, OutOfOrder: 365 * 24 * time.Hour})
		if err != nil {
			tb.Fatal(err)
		}
		return db.Storage()
	})
}
