package config

import (
	"net/url"
	"time"
)

// MindBus is the team's message bus that the server reads along on.
type MindBus struct {
	// URL is the broker's, amqp:// or amqps://; "" reads along on none.
	URL string
	// Exchange is the topic exchange of the team's messages.
	Exchange string
	// Queue names the queue that is read, so that it outlives a restart of the server; "" is one of the connection's own.
	Queue string
	// AnswerWithin is after which time a command counts as not answered.
	AnswerWithin time.Duration
}

func defaultMindBus() MindBus {
	return MindBus{Exchange: "mindbus.main", AnswerWithin: 10 * time.Minute}
}

func mindBusSettings() []setting {
	return []setting{
		{
			key: "mindbus.url",
			set: func(c *Config, s string) error { c.MindBus.URL = s; return nil },
			check: func(c *Config) string {
				u, err := url.Parse(c.MindBus.URL)
				ok := c.MindBus.URL == "" || err == nil && (u.Scheme == "amqp" || u.Scheme == "amqps") && u.Host != ""
				return rule(ok, "empty or amqp://user:password@host:5672/")
			},
			text: func(c *Config) string { return withoutPassword(c.MindBus.URL) },
		},
		{
			key:   "mindbus.exchange",
			set:   func(c *Config, s string) error { c.MindBus.Exchange = s; return nil },
			check: func(c *Config) string { return rule(c.MindBus.Exchange != "", "the name of an exchange") },
			text:  func(c *Config) string { return c.MindBus.Exchange },
		},
		{
			key:   "mindbus.queue",
			set:   func(c *Config, s string) error { c.MindBus.Queue = s; return nil },
			check: func(c *Config) string { return rule(len(c.MindBus.Queue) <= 200, "at most 200 bytes") },
			text:  func(c *Config) string { return c.MindBus.Queue },
		},
		{
			key: "mindbus.answer_within",
			set: func(c *Config, s string) error { return setDuration(&c.MindBus.AnswerWithin, s) },
			check: func(c *Config) string {
				return rule(c.MindBus.AnswerWithin >= time.Second && c.MindBus.AnswerWithin <= day, "1s to 1d")
			},
			text: func(c *Config) string { return FormatDuration(c.MindBus.AnswerWithin) },
		},
	}
}

// withoutPassword keeps a secret out of what is printed.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "*****"
	}
	if _, has := u.User.Password(); has {
		return u.Redacted()
	}
	return text
}
