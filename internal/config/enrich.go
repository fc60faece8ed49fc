package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Redact says what is removed before anything is stored.
type Redact struct {
	// Mode is mask, drop or hmac; Key is the key of hmac.
	Mode, Key string
	// Credentials switches the rules for credentials of well-known formats.
	Credentials bool
	// Groups are the kinds of personal data that are removed, Attributes the keys whose whole value is.
	Groups, Attributes []string
	// Patterns are rules of one's own by name, in RE2 syntax.
	Patterns map[string]string
}

// Capture says what content (prompts, answers, arguments and results of tools) is kept: all, metadata or failed-only.
type Capture struct {
	Default string
	// Teams is by team, Agents by team/agent; an agent's word goes before its team's. "*/critic" is that agent in any
	// team.
	Teams, Agents map[string]string
}

// minRedactKey is the shortest key for hmac in bytes.
const minRedactKey = 16

func redactGroups() []string {
	return []string{"email", "card", "phone", "passport", "snils", "inn"}
}

func capturePolicies() []string { return []string{"all", "metadata", "failed-only"} }

// enrichSettings returns the keys of prices, redaction and content.
func enrichSettings() []setting {
	return []setting{
		{
			key:   "prices",
			set:   func(c *Config, s string) error { c.Prices = s; return nil },
			check: func(*Config) string { return "" }, // the file itself is read when the server is built
			text:  func(c *Config) string { return c.Prices },
		},
		{
			key: "redact.mode",
			set: func(c *Config, s string) error { c.Redact.Mode = s; return nil },
			check: func(c *Config) string {
				return rule(slices.Contains([]string{"mask", "drop", "hmac"}, c.Redact.Mode), "mask, drop or hmac")
			},
			text: func(c *Config) string { return c.Redact.Mode },
		},
		{
			key: "redact.key",
			set: func(c *Config, s string) error { c.Redact.Key = s; return nil },
			check: func(c *Config) string {
				return rule(c.Redact.Mode != "hmac" || len(c.Redact.Key) >= minRedactKey, "at least 16 bytes for redact.mode: hmac")
			},
			// A problem must not print the key.
			text: func(c *Config) string { return strings.Repeat("*", len(c.Redact.Key)) },
		},
		{
			key:   "redact.credentials",
			set:   func(c *Config, s string) error { return setBool(&c.Redact.Credentials, s) },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return strconv.FormatBool(c.Redact.Credentials) },
		},
		{
			key: "redact.groups", list: true,
			set: func(c *Config, s string) error { c.Redact.Groups = splitList(s); return nil },
			check: func(c *Config) string {
				for _, g := range c.Redact.Groups {
					if !slices.Contains(redactGroups(), g) {
						return "some of " + strings.Join(redactGroups(), ", ")
					}
				}
				return ""
			},
			text: func(c *Config) string { return strings.Join(c.Redact.Groups, ",") },
		},
		{
			key: "redact.attributes", list: true,
			set:   func(c *Config, s string) error { c.Redact.Attributes = splitList(s); return nil },
			check: func(*Config) string { return "" },
			text:  func(c *Config) string { return strings.Join(c.Redact.Attributes, ",") },
		},
		{key: "redact.patterns", setNamed: setPattern},
		capturePolicy("capture"),
		capturePolicy("capture.default"),
		{key: "capture.teams", setNamed: func(c *Config, name, s string) error {
			return setPolicy(&c.Capture.Teams, name, s)
		}},
		{key: "capture.agents", setNamed: func(c *Config, name, s string) error {
			if team, agent, ok := strings.Cut(name, "/"); !ok || team == "" || agent == "" {
				return errors.New("under the name TEAM/AGENT, as newsroom/critic or */critic")
			}
			return setPolicy(&c.Capture.Agents, name, s)
		}},
	}
}

// capturePolicy is the policy for those without one of their own: `capture: all` is short for `capture: {default: all}`.
func capturePolicy(key string) setting {
	return setting{
		key: key,
		set: func(c *Config, s string) error {
			if !slices.Contains(capturePolicies(), s) {
				return errors.New("one of " + strings.Join(capturePolicies(), ", "))
			}
			c.Capture.Default = s
			return nil
		},
		check: func(*Config) string { return "" },
		text:  func(c *Config) string { return c.Capture.Default },
	}
}

func setPolicy(to *map[string]string, name, s string) error {
	if !slices.Contains(capturePolicies(), s) {
		return errors.New("one of " + strings.Join(capturePolicies(), ", "))
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[name] = s
	return nil
}

func setPattern(c *Config, name, s string) error {
	re, err := regexp.Compile(s)
	if err != nil {
		return fmt.Errorf("an expression in RE2 syntax: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if re.MatchString("") {
		return errors.New("an expression that does not match the empty text")
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`).MatchString(name) {
		return errors.New("under a name of 1 to 40 letters, digits, '_' and '-'")
	}
	if c.Redact.Patterns == nil {
		c.Redact.Patterns = map[string]string{}
	}
	c.Redact.Patterns[name] = s
	return nil
}

// splitList reads "email, card".
func splitList(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
