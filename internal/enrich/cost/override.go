package cost

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Overrides are prices of one's own, which go before the table.
type Overrides struct {
	raw  []byte
	list []override
}

type override struct {
	provider string
	name     string
	matcher  matcher
	from, to time.Time
	prices   prices
}

func (o *override) applies(providerName, modelName string, at time.Time) bool {
	return (o.provider == "" || o.provider == providerName) && o.matcher.match(modelName) &&
		!at.Before(o.from) && (o.to.IsZero() || at.Before(o.to))
}

type overrideFile struct {
	Currencies map[string][]struct {
		From date      `yaml:"from"`
		USD  yaml.Node `yaml:"usd"`
	} `yaml:"currencies"`
	Prices []yaml.Node `yaml:"prices"`
}

type overrideEntry struct {
	Provider     string    `yaml:"provider"`
	Model        string    `yaml:"model"`
	Match        string    `yaml:"match"`
	From         date      `yaml:"from"`
	To           date      `yaml:"to"`
	Currency     string    `yaml:"currency"`
	Per          int64     `yaml:"per"`
	Input        yaml.Node `yaml:"input"`
	CacheRead    yaml.Node `yaml:"cache_read"`
	CacheWrite5m yaml.Node `yaml:"cache_write_5m"`
	CacheWrite1h yaml.Node `yaml:"cache_write_1h"`
	Output       yaml.Node `yaml:"output"`
	Reasoning    yaml.Node `yaml:"reasoning"`
}

// date is a day, UTC.
type date struct{ time.Time }

func (d *date) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no date like 2026-01-31", n.Line, n.Value)
	}
	d.Time = t
	return nil
}

// ParseOverrides reads a file of prices. Its errors name the line and the key; all of them are reported at once.
func ParseOverrides(raw []byte) (*Overrides, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	var file overrideFile
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	o := &Overrides{raw: raw}
	var errs []error
	for i := range file.Prices {
		list, err := file.entry(&file.Prices[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("read prices: line %d: %w", file.Prices[i].Line, err))
		}
		o.list = append(o.list, list...)
	}
	return o, errors.Join(errs...)
}

// entry makes one override for each rate of its currency.
func (f *overrideFile) entry(n *yaml.Node) ([]override, error) {
	var e overrideEntry
	if err := strict(n, &e); err != nil {
		return nil, err
	}
	if e.Model == "" {
		return nil, errors.New("model: is missing")
	}
	if e.Match == "" {
		e.Match = "equals"
	}
	m, err := newMatcher(e.Match, e.Model)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	if e.Per == 0 {
		e.Per = 1_000_000
	}
	if e.Per < 0 {
		return nil, errors.New("per: is negative")
	}
	base := override{provider: e.Provider, name: e.Model, matcher: m, from: e.From.Time, to: e.To.Time}
	if e.Currency == "" || e.Currency == "USD" {
		base.prices, err = e.prices(nil)
		return []override{base}, err
	}
	rates := f.Currencies[e.Currency]
	if len(rates) == 0 {
		return nil, fmt.Errorf("currency: there is no rate of %s under currencies", e.Currency)
	}
	var list []override
	for i, r := range rates {
		o := base
		o.from = later(base.from, r.From.Time)
		if i+1 < len(rates) {
			next := rates[i+1].From.Time
			if !next.After(r.From.Time) {
				return nil, fmt.Errorf("currency: the rates of %s are not in the order of their dates", e.Currency)
			}
			o.to = earlier(base.to, next)
		}
		usd, ok := new(big.Rat).SetString(r.USD.Value)
		if !ok || usd.Sign() <= 0 {
			return nil, fmt.Errorf("currency: line %d: usd: %q is no rate", r.USD.Line, r.USD.Value)
		}
		if o.prices, err = e.prices(usd); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earlier treats the zero time as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (e *overrideEntry) prices(usd *big.Rat) (prices, error) {
	var p prices
	perMillion := big.NewRat(1_000_000, e.Per)
	for _, f := range []struct {
		key  string
		node yaml.Node
		to   *tiered
	}{
		{"input", e.Input, &p.Input},
		{"cache_read", e.CacheRead, &p.CacheRead},
		{"cache_write_5m", e.CacheWrite5m, &p.CacheWrite},
		{"cache_write_1h", e.CacheWrite1h, &p.CacheWrite1h},
		{"output", e.Output, &p.Output},
		{"reasoning", e.Reasoning, &p.Reasoning},
	} {
		if f.node.IsZero() {
			continue
		}
		r, err := parseRate(f.node.Value, perMillion, usd)
		if err != nil {
			return p, fmt.Errorf("%s: %q: %w", f.key, f.node.Value, err)
		}
		*f.to = tiered{base: r, set: true}
	}
	if !p.Input.set && !p.Output.set {
		return p, errors.New("input and output: one of them is needed")
	}
	return p, nil
}

// strict decodes a mapping and refuses unknown keys, which yaml checks for whole documents only.
func strict(n *yaml.Node, into *overrideEntry) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("an entry is a mapping of keys")
	}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if !slices.Contains(entryKeys(), key.Value) {
			return fmt.Errorf("%s: is not known; keys are %s", key.Value, strings.Join(entryKeys(), ", "))
		}
	}
	return n.Decode(into)
}

func entryKeys() []string {
	return []string{
		"provider", "model", "match", "from", "to", "currency", "per", "input", "cache_read", "cache_write_5m", "cache_write_1h",
		"output", "reasoning",
	}
}
