package config

import (
	"strconv"
)

// Store is how much the store may take.
type Store struct {
	// MaxDiskMiB is the budget of the data folder; 0 is none. What goes first when it is reached: docs/data.md.
	MaxDiskMiB int
	// MinFreeMiB is the free space of the disk below which nothing more is taken.
	MinFreeMiB int
}

func defaultStore() Store { return Store{MinFreeMiB: 100} }

// minBudget is less than a day of a small team needs.
const minBudget = 64

func storeSettings() []setting {
	return []setting{
		{
			key: "store.max_disk_mib",
			set: func(c *Config, s string) error { return setInt(&c.Store.MaxDiskMiB, s) },
			check: func(c *Config) string {
				return rule(c.Store.MaxDiskMiB == 0 || c.Store.MaxDiskMiB >= minBudget, "0 for no limit, or "+strconv.Itoa(minBudget)+" and more")
			},
			text: func(c *Config) string { return strconv.Itoa(c.Store.MaxDiskMiB) },
		},
		{
			key:   "store.min_free_mib",
			set:   func(c *Config, s string) error { return setInt(&c.Store.MinFreeMiB, s) },
			check: func(c *Config) string { return rule(c.Store.MinFreeMiB >= 1, "1 and more") },
			text:  func(c *Config) string { return strconv.Itoa(c.Store.MinFreeMiB) },
		},
	}
}
