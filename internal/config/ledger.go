package config

import "time"

// Ledger is when tasks are accounted for.
type Ledger struct {
	// Settle is how long nothing of an ended task has come when it is accounted for: what comes later is late.
	Settle time.Duration
}

func ledgerSettings() []setting {
	return []setting{period("ledger.settle", func(c *Config) *time.Duration { return &c.Ledger.Settle })}
}
