package pgxrecords_test

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mindscope/mindscope/sdk/records"
	"github.com/mindscope/mindscope/sdk/records/pgxrecords"
)

// With a pool: pgxpool.ParseConfig, and cfg.ConnConfig.Tracer.
func ExampleNewTracer() {
	cfg, err := pgx.ParseConfig("postgres://team@127.0.0.1/team")
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg.Tracer = pgxrecords.NewTracer(records.WithIDColumn("step_id"))
	fmt.Println(cfg.Tracer != nil, cfg.Database)
	// Output: true team
}
