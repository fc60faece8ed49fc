package cost

import (
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Entry is one price list of a model, for people.
type Entry struct {
	// Own entries are overrides; they go before the table's.
	Own             bool
	Provider, Model string
	// Valid says when it holds: "from 2026-03-13", "00:30–16:30 UTC". "" is always.
	Valid   string
	InForce bool
	Prices  []EntryPrice
}

// EntryPrice is what a bucket costs in dollars for a million tokens, for a thousand of requests.
type EntryPrice struct {
	Bucket, USD string
	// Above holds for all tokens of a call with more input than that; 0 is for every call.
	Above int64
}

// Show returns all that the book holds for a model; the entry in force at a time is marked.
func (b *Book) Show(providerName, modelName string, at time.Time) []Entry {
	f := b.find(providerName, modelName)
	var list []Entry
	inForce := false
	for _, o := range f.overrides {
		e := Entry{Own: true, Provider: o.provider, Model: o.name, Valid: validity(o.from, o.to), Prices: o.prices.list()}
		if o.currency != "USD" {
			e.Valid = strings.TrimSpace(e.Valid + " (written in " + o.currency + ")")
		}
		e.InForce = !inForce && o.holds(at)
		inForce = inForce || e.InForce
		list = append(list, e)
	}
	if f.model == nil {
		return list
	}
	current := f.model.Prices.at(at)
	for i := range f.model.Prices {
		c := &f.model.Prices[i]
		e := Entry{Provider: f.model.provider, Model: f.model.ID, Valid: validity(c.from, time.Time{}), Prices: c.prices.list()}
		if c.hours {
			e.Valid = strings.TrimSpace(e.Valid + " " + clock(c.start) + "–" + clock(c.end) + " UTC")
		}
		e.InForce = !inForce && current == &c.prices
		list = append(list, e)
	}
	return list
}

func validity(from, to time.Time) string {
	var parts []string
	if !from.IsZero() {
		parts = append(parts, "from "+from.Format(time.DateOnly))
	}
	if !to.IsZero() {
		parts = append(parts, "before "+to.Format(time.DateOnly))
	}
	return strings.Join(parts, " ")
}

func clock(d time.Duration) string { return time.Time{}.Add(d).Format("15:04") }

func (p *prices) list() []EntryPrice {
	var list []EntryPrice
	for _, f := range [...]struct {
		name string
		t    *tiered
	}{
		{"input", &p.Input},
		{"cache_read", &p.CacheRead},
		{"cache_write_5m", &p.CacheWrite},
		{"cache_write_1h", &p.CacheWrite1h},
		{"output", &p.Output},
		{"reasoning", &p.Reasoning},
		{"input_audio", &p.InputAudio},
		{"input_image", &p.InputImage},
		{"input_video", &p.InputVideo},
		{"output_audio", &p.OutputAudio},
		{"output_image", &p.OutputImage},
		{"output_video", &p.OutputVideo},
		{"cache_read_audio", &p.CacheReadAudio},
		{"cache_read_image", &p.CacheReadImage},
		{"requests", &p.Requests},
	} {
		if !f.t.set {
			continue
		}
		list = append(list, EntryPrice{Bucket: f.name, USD: f.t.base.String()})
		for _, step := range f.t.tiers {
			list = append(list, EntryPrice{Bucket: f.name, USD: step.price.String(), Above: step.start})
		}
	}
	return list
}

// String returns dollars for a million tokens, exactly.
func (r rate) String() string {
	text := new(big.Rat).SetFrac64(int64(r), 1_000_000_000_000).FloatString(12)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "" {
		return strconv.Itoa(0)
	}
	return text
}
