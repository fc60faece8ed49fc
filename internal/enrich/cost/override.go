package cost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
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
	// line is where the entry stands, currency what its prices are written in.
	line     int
	currency string
}

// holds tells whether the override holds at a time.
func (o *override) holds(at time.Time) bool {
	return !at.Before(o.from) && (o.to.IsZero() || at.Before(o.to))
}

// named tells whether the override is for one of the names of a model of one of the names of a provider.
func (o *override) named(providers, models []string) bool {
	return (o.provider == "" || slices.Contains(providers, o.provider)) && slices.ContainsFunc(models, o.matcher.match)
}

// dated is a rate of a currency from a day on.
type dated struct {
	from time.Time
	usd  *big.Rat
}

// ParseOverrides reads a file of prices. Its errors name the line and the key; all of them are reported at once.
func ParseOverrides(raw []byte) (*Overrides, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(raw)).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	o := &Overrides{raw: raw}
	if len(doc.Content) == 0 {
		return o, nil
	}
	r := &priceReader{currencies: map[string][]dated{}}
	r.file(doc.Content[0])
	o.list = r.list
	return o, errors.Join(r.errs...)
}

// priceReader walks through a file of prices and gathers what is wrong.
type priceReader struct {
	currencies map[string][]dated
	list       []override
	errs       []error
}

func (r *priceReader) fail(n *yaml.Node, key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("line %d: %s: %s", n.Line, key, fmt.Sprintf(format, args...)))
}

// fields calls read with each key of a mapping, after a look for keys that are not known or stand twice.
func (r *priceReader) fields(n *yaml.Node, in string, known []string, read func(key string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, in, "must be a mapping of keys: %s", strings.Join(known, ", "))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := strings.TrimPrefix(in+"."+k.Value, ".")
		switch {
		case known != nil && !slices.Contains(known, k.Value):
			r.fail(k, key, "is not known; keys are %s", strings.Join(known, ", "))
		case seen[k.Value]:
			r.fail(k, key, "is set twice")
		default:
			read(key, k, v)
		}
		seen[k.Value] = true
	}
}

func (r *priceReader) file(n *yaml.Node) {
	var entries *yaml.Node
	r.fields(n, "", []string{"currencies", "prices"}, func(key string, k, v *yaml.Node) {
		if k.Value == "prices" {
			entries = v
			return
		}
		r.fields(v, key, nil, func(key string, k, v *yaml.Node) { r.currencies[k.Value] = r.rates(key, v) })
	})
	if entries == nil {
		return
	}
	if entries.Kind != yaml.SequenceNode {
		r.fail(entries, "prices", "must be a list")
		return
	}
	for i, e := range entries.Content {
		r.entry("prices["+strconv.Itoa(i)+"]", e)
	}
}

func (r *priceReader) rates(key string, n *yaml.Node) []dated {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fail(n, key, "must be a list of rates, as {from: 2026-01-01, usd: 0.0125}")
		return nil
	}
	var list []dated
	for i, e := range n.Content {
		var d dated
		in := key + "[" + strconv.Itoa(i) + "]"
		r.fields(e, in, []string{"from", "usd"}, func(key string, k, v *yaml.Node) {
			if k.Value == "from" {
				d.from = r.date(key, v)
				return
			}
			usd, ok := rational(v.Value)
			if !ok || usd.Sign() <= 0 {
				r.fail(v, key, "%q is no rate", v.Value)
				return
			}
			d.usd = usd
		})
		switch {
		case d.usd == nil:
			r.fail(e, in, "needs a rate: usd")
			continue
		case len(list) > 0 && !d.from.After(list[len(list)-1].from):
			r.fail(e, in, "from is not after the rate before it")
		}
		list = append(list, d)
	}
	return list
}

// date is a day, UTC.
func (r *priceReader) date(key string, n *yaml.Node) time.Time {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		r.fail(n, key, "%q is no date like 2026-01-31", n.Value)
	}
	return t
}

func entryKeys() []string {
	return []string{
		"provider", "model", "match", "from", "to", "currency", "per", "input", "cache_read", "cache_write_5m", "cache_write_1h",
		"output", "reasoning", "request",
	}
}

// entry makes one override for each rate of its currency.
func (r *priceReader) entry(in string, n *yaml.Node) {
	before := len(r.errs)
	o := override{line: n.Line, currency: "USD"}
	match, per := "equals", int64(1_000_000)
	amounts := map[string]*yaml.Node{}
	r.fields(n, in, entryKeys(), func(key string, k, v *yaml.Node) {
		switch k.Value {
		case "provider":
			o.provider = strings.ToLower(v.Value)
		case "model":
			o.name = v.Value
		case "match":
			match = v.Value
		case "from":
			o.from = r.date(key, v)
		case "to":
			o.to = r.date(key, v)
		case "currency":
			o.currency = v.Value
		case "per":
			var err error
			if per, err = strconv.ParseInt(v.Value, 10, 64); err != nil || per <= 0 {
				r.fail(v, key, "%q is no number of tokens", v.Value)
			}
		default:
			amounts[k.Value] = v
		}
	})
	if len(r.errs) > before {
		return
	}
	switch {
	case o.name == "":
		r.fail(n, in+".model", "is missing")
	case !o.to.IsZero() && !o.to.After(o.from):
		r.fail(n, in+".to", "is not after from")
	}
	var err error
	if o.matcher, err = newMatcher(match, o.name); err != nil {
		r.fail(n, in+".match", "%v", err)
	}
	rates := r.currencies[o.currency]
	if o.currency == "USD" {
		rates = []dated{{usd: big.NewRat(1, 1)}}
	} else if len(rates) == 0 {
		r.fail(n, in+".currency", "there is no rate of %s under currencies", o.currency)
	}
	for i, rate := range rates {
		each := o
		each.from = later(o.from, rate.from)
		if i+1 < len(rates) {
			each.to = earlier(o.to, rates[i+1].from)
		}
		if !r.prices(in, n, amounts, per, rate.usd, &each.prices) {
			return
		}
		r.list = append(r.list, each)
	}
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

func (r *priceReader) prices(in string, n *yaml.Node, amounts map[string]*yaml.Node, per int64, usd *big.Rat, p *prices) bool {
	ok := true
	for _, f := range []struct {
		key   string
		units *big.Rat
		to    *tiered
	}{
		{"input", big.NewRat(1_000_000, per), &p.Input},
		{"cache_read", big.NewRat(1_000_000, per), &p.CacheRead},
		{"cache_write_5m", big.NewRat(1_000_000, per), &p.CacheWrite},
		{"cache_write_1h", big.NewRat(1_000_000, per), &p.CacheWrite1h},
		{"output", big.NewRat(1_000_000, per), &p.Output},
		{"reasoning", big.NewRat(1_000_000, per), &p.Reasoning},
		{"request", big.NewRat(1000, 1), &p.Requests}, // of one request; the table's is of a thousand
	} {
		v := amounts[f.key]
		if v == nil {
			continue
		}
		rate, err := parseRate(v.Value, f.units, usd)
		if err != nil {
			r.fail(v, in+"."+f.key, "%q: %v", v.Value, err)
			ok = false
			continue
		}
		*f.to = tiered{base: rate, set: true}
	}
	if ok && !p.Input.set && !p.Output.set && !p.Requests.set {
		r.fail(n, in, "needs a price: input, output or request")
		return false
	}
	return ok
}
