package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one key: how its text is read, and which rule its value must keep.
type setting struct {
	key string
	// set reads text; its error says what the text should be.
	set func(c *Config, text string) error
	// check tells what is wrong with the value, alone or beside others, "" for nothing.
	check func(c *Config) (rule string)
	// text is the value as a person would write it.
	text func(c *Config) string
	// list takes a YAML sequence too; set gets its texts with commas between them.
	list bool
	// setNamed, in place of all others, reads a mapping of names that are free; only the file can hold one.
	setNamed func(c *Config, name, text string) error
	// sections says that under each free name are keys, which setNamed gets as NAME.KEY.
	sections bool
}

// settings returns all keys in the order in which problems are reported.
func settings() []setting {
	return slices.Concat(serverSettings(), mindBusSettings(), storeSettings(), enrichSettings(), logSettings(), metricSettings(),
		ruleSettings(), budgetSettings(), ledgerSettings())
}

func serverSettings() []setting {
	return []setting{
		address("listen", func(c *Config) *string { return &c.Listen }),
		address("otlp.grpc", func(c *Config) *string { return &c.OTLP.GRPC }),
		address("otlp.http", func(c *Config) *string { return &c.OTLP.HTTP }),
		{
			key: "otlp.max_message_mib",
			set: func(c *Config, s string) error { return setInt(&c.OTLP.MaxMessageMiB, s) },
			check: func(c *Config) string {
				return rule(c.OTLP.MaxMessageMiB >= 1 && c.OTLP.MaxMessageMiB <= 1024, "1 to 1024")
			},
			text: func(c *Config) string { return strconv.Itoa(c.OTLP.MaxMessageMiB) },
		},
		{
			key: "data",
			set: func(c *Config, s string) error { c.Data = s; return nil },
			check: func(c *Config) string {
				return rule(c.Memory || c.Data != "", "a folder; without a home directory there is no default")
			},
			text: func(c *Config) string { return c.Data },
		},
		{
			key:   "memory",
			set:   func(c *Config, s string) error { return setBool(&c.Memory, s) },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return strconv.FormatBool(c.Memory) },
		},
		{
			key:   "retention",
			set:   func(c *Config, s string) error { return setDuration(&c.Retention, s) },
			check: func(c *Config) string { return rule(inRetention(c.Retention), "1d to 200y") },
			text:  func(c *Config) string { return FormatDuration(c.Retention) },
		},
		{
			key: "payload_retention",
			set: func(c *Config, s string) error { return setDuration(&c.PayloadRetention, s) },
			check: func(c *Config) string {
				if !inRetention(c.PayloadRetention) {
					return "1d to 200y"
				}
				return rule(c.PayloadRetention <= c.Retention || !inRetention(c.Retention), "at most retention, "+FormatDuration(c.Retention))
			},
			text: func(c *Config) string { return FormatDuration(c.PayloadRetention) },
		},
	}
}

func logSettings() []setting {
	return []setting{
		{
			key: "log.level",
			set: func(c *Config, s string) error {
				if c.Log.Level.UnmarshalText([]byte(s)) != nil {
					return errors.New("debug, info, warn or error")
				}
				return nil
			},
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return strings.ToLower(c.Log.Level.String()) },
		},
		{
			key: "log.format",
			set: func(c *Config, s string) error { c.Log.Format = s; return nil },
			check: func(c *Config) string {
				return rule(slices.Contains([]string{"text", "json"}, c.Log.Format), "text or json")
			},
			text: func(c *Config) string { return c.Log.Format },
		},
	}
}

func rule(kept bool, text string) string {
	if kept {
		return ""
	}
	return text
}

func address(key string, field func(*Config) *string) setting {
	return setting{
		key:   key,
		set:   func(c *Config, s string) error { *field(c) = s; return nil },
		check: func(c *Config) string { return checkAddress(c, key, *field(c)) },
		text:  func(c *Config) string { return *field(c) },
	}
}

// checkAddress wants host:port that no address before it has.
func checkAddress(c *Config, key, addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "host:port, as 127.0.0.1:4317"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "a port of 0 to 65535"
	} else if n == 0 {
		return "" // any free port, so never the same
	}
	for _, other := range []struct{ key, addr string }{{"listen", c.Listen}, {"otlp.grpc", c.OTLP.GRPC}, {"otlp.http", c.OTLP.HTTP}} {
		if other.key == key {
			break
		}
		if other.addr == addr {
			return "another address than " + other.key
		}
	}
	return ""
}

func setInt(to *int, s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("a whole number")
	}
	*to = n
	return nil
}

func setBool(to *bool, s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("true or false")
	}
	*to = b
	return nil
}

func setDuration(to *time.Duration, s string) error {
	d, err := ParseDuration(s)
	if err != nil {
		return errors.New("a duration, as 30d, 2y or 12h")
	}
	*to = d
	return nil
}

// maxRetention is below what fits into a time.Duration (292 years).
const maxRetention = 200 * 365 * day

// inRetention wants at least a day: that is the grain in which the store deletes.
func inRetention(d time.Duration) bool { return d >= day && d <= maxRetention }

// ParseDuration reads what time.ParseDuration reads, and whole days and years (of 365 days): 30d, 2y.
func ParseDuration(s string) (time.Duration, error) {
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"d", day}, {"y", 365 * day}} {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || time.Duration(n) > (1<<63-1)/u.unit {
			return 0, fmt.Errorf("parse duration %q", s)
		}
		return time.Duration(n) * u.unit, nil
	}
	return time.ParseDuration(s)
}

// FormatDuration writes d as short as ParseDuration reads it.
func FormatDuration(d time.Duration) string {
	switch {
	case d != 0 && d%(365*day) == 0:
		return strconv.FormatInt(int64(d/(365*day)), 10) + "y"
	case d != 0 && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
