package config

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Store is how much the store may take.
type Store struct {
	// MaxDiskMiB is the budget of the data folder; 0 is none. What goes first when it is reached: docs/data.md.
	MaxDiskMiB int
	// MinFreeMiB is the free space of the disk below which nothing more is taken.
	MinFreeMiB int
	// Nodes are storage nodes, host:port each, that hold the rows in place of the data folder; PayloadNodes hold the
	// payloads, the same ones when empty. NodeAccount tells servers apart that share nodes.
	Nodes, PayloadNodes []string
	NodeAccount         int
	// NodeUser and one of NodePassword and NodePasswordFile are what the nodes know this server by, in HTTP basic
	// authentication; without a user the password is a bearer token. Without a password they know it by nothing.
	NodeUser, NodePassword, NodePasswordFile string
	// Sync says when telemetry is acknowledged: "always" when the disk has it, "interval" when the operating system has
	// it, which forces it to disk once a second.
	Sync string
}

func defaultStore() Store { return Store{MinFreeMiB: 100, Sync: "always"} }

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
		nodeList("store.nodes", func(c *Config) *[]string { return &c.Store.Nodes }),
		nodeList("store.payload_nodes", func(c *Config) *[]string { return &c.Store.PayloadNodes }),
		{
			key: "store.node_account",
			set: func(c *Config, s string) error { return setInt(&c.Store.NodeAccount, s) },
			check: func(c *Config) string {
				return rule(c.Store.NodeAccount >= 0 && c.Store.NodeAccount < maxAccount, "0 to "+strconv.Itoa(maxAccount-1))
			},
			text: func(c *Config) string { return strconv.Itoa(c.Store.NodeAccount) },
		},
		{
			key: "store.node_user",
			set: func(c *Config, s string) error { c.Store.NodeUser = s; return nil },
			check: func(c *Config) string {
				switch s := c.Store; {
				case s.NodeUser == "":
					return ""
				case strings.Contains(s.NodeUser, ":"):
					return "without a colon"
				default:
					return rule(s.NodePassword != "" || s.NodePasswordFile != "", "empty without store.node_password or store.node_password_file")
				}
			},
			text: func(c *Config) string { return c.Store.NodeUser },
		},
		{
			key:   "store.node_password",
			set:   func(c *Config, s string) error { c.Store.NodePassword = s; return nil },
			check: func(c *Config) string { return withNodes(c, c.Store.NodePassword) },
			text:  func(c *Config) string { return hidden(c.Store.NodePassword) },
		},
		{
			key: "store.node_password_file",
			set: func(c *Config, s string) error { c.Store.NodePasswordFile = s; return nil },
			check: func(c *Config) string {
				if c.Store.NodePassword != "" && c.Store.NodePasswordFile != "" {
					return "empty beside store.node_password"
				}
				return withNodes(c, c.Store.NodePasswordFile)
			},
			text: func(c *Config) string { return c.Store.NodePasswordFile },
		},
		{
			key: "wal.sync",
			set: func(c *Config, s string) error { c.Store.Sync = s; return nil },
			check: func(c *Config) string {
				return rule(c.Store.Sync == "always" || c.Store.Sync == "interval", "always or interval")
			},
			text: func(c *Config) string { return c.Store.Sync },
		},
	}
}

// withNodes is the rule of what says nothing without storage nodes.
func withNodes(c *Config, value string) string {
	return rule(value == "" || len(c.Store.Nodes) > 0, "empty without store.nodes")
}

// hidden stands for a secret, whose length is one as well.
func hidden(secret string) string {
	if secret == "" {
		return ""
	}
	return "*****"
}

// maxAccount leaves two of the nodes' own accounts, of 32 bits, for each.
const maxAccount = 1 << 30

// nodeList is a setting of addresses, none of them twice.
func nodeList(key string, field func(*Config) *[]string) setting {
	return setting{
		key: key, list: true,
		set: func(c *Config, s string) error { *field(c) = splitList(s); return nil },
		check: func(c *Config) string {
			addrs := *field(c)
			if key != "store.nodes" && len(addrs) > 0 && len(c.Store.Nodes) == 0 {
				return "empty without store.nodes"
			}
			for i, addr := range addrs {
				if host, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "https://")); err != nil || host == "" || port == "" || slices.Contains(addrs[:i], addr) {
					return "host:port each, as node1:9428,node2:9428, https:// in front of those with TLS, none of them twice"
				}
			}
			return rule(len(addrs) == 0 || !c.Memory, "empty with memory")
		},
		text: func(c *Config) string { return strings.Join(*field(c), ",") },
	}
}
