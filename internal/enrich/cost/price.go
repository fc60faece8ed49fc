package cost

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Usage holds the tokens of one call. Sums include their parts: Input includes cached and all modalities, Output
// includes reasoning.
type Usage struct {
	Input, CacheRead, CacheWrite, CacheWrite1h int64
	Output, Reasoning                          int64

	InputAudio, InputImage, InputVideo             int64
	OutputAudio, OutputImage, OutputVideo          int64
	CacheReadAudio, CacheReadImage, CacheReadVideo int64
}

// Parts is what a call costs, by bucket of tokens. Request is what does not depend on tokens. The parts add up to the
// exact total, rounded once to a pico-dollar.
type Parts struct {
	Uncached, CacheRead, CacheWrite5m, CacheWrite1h Pico
	Visible, Reasoning                              Pico
	Request                                         Pico
}

// Input returns the cost of all that went in.
func (p Parts) Input() Pico { return p.Uncached + p.CacheRead + p.CacheWrite5m + p.CacheWrite1h }

// Output returns the cost of all that came out.
func (p Parts) Output() Pico { return p.Visible + p.Reasoning }

// Total returns the sum of the parts.
func (p Parts) Total() Pico { return p.Input() + p.Output() + p.Request }

// JSON returns the parts that are not 0 as a JSON object in pico-dollars.
func (p Parts) JSON() string { return string(p.appendJSON(nil)) }

// appendJSON appends the parts that are not 0 as a JSON object in pico-dollars: {"input":2500000,"output":8120000}.
func (p Parts) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for _, part := range [...]struct {
		name string
		pico Pico
	}{
		{"input", p.Uncached},
		{"cache_read", p.CacheRead},
		{"cache_write_5m", p.CacheWrite5m},
		{"cache_write_1h", p.CacheWrite1h},
		{"output", p.Visible},
		{"reasoning", p.Reasoning},
		{"request", p.Request},
	} {
		if part.pico == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, part.name...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, int64(part.pico), 10)
	}
	return append(b, '}')
}

// tier is a price from a number of input tokens on. It holds for all tokens of the call.
type tier struct {
	start int64
	price rate
}

// tiered is a price that may depend on the length of the input.
type tiered struct {
	base  rate
	tiers []tier
	set   bool
}

func (t *tiered) at(input int64) rate {
	r := t.base
	for _, step := range t.tiers {
		if input > step.start {
			r = step.price
		}
	}
	return r
}

// UnmarshalJSON reads a number, or {"base", "tiers": [{"start", "price"}]}.
func (t *tiered) UnmarshalJSON(raw []byte) error {
	t.set = true
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		var err error
		t.base, err = parseRate(n.String(), nil, nil)
		return err
	}
	var doc struct {
		Base  json.Number `json:"base"`
		Tiers []struct {
			Start int64       `json:"start"`
			Price json.Number `json:"price"`
		} `json:"tiers"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	var err error
	if t.base, err = parseRate(doc.Base.String(), nil, nil); err != nil {
		return err
	}
	for _, step := range doc.Tiers {
		r, err := parseRate(step.Price.String(), nil, nil)
		if err != nil {
			return err
		}
		t.tiers = append(t.tiers, tier{step.Start, r})
	}
	return nil
}

// prices are one model's at one time; a price that is not set falls back to the one of the sum it is part of.
type prices struct {
	Input          tiered `json:"input_mtok"`
	CacheRead      tiered `json:"cache_read_mtok"`
	CacheWrite     tiered `json:"cache_write_mtok"`
	CacheWrite1h   tiered `json:"cache_write_1h_mtok"`
	Output         tiered `json:"output_mtok"`
	Reasoning      tiered `json:"output_reasoning_mtok"`
	InputAudio     tiered `json:"input_audio_mtok"`
	InputImage     tiered `json:"input_image_mtok"`
	InputVideo     tiered `json:"input_video_mtok"`
	OutputAudio    tiered `json:"output_audio_mtok"`
	OutputImage    tiered `json:"output_image_mtok"`
	OutputVideo    tiered `json:"output_video_mtok"`
	CacheReadAudio tiered `json:"cache_audio_read_mtok"`
	CacheReadImage tiered `json:"cache_image_read_mtok"`
	Requests       tiered `json:"requests_kcount"`

	// free: the table lists no price at all, which is its way to say that the model costs nothing.
	free bool
}

// UnmarshalJSON reads the table's object of prices. Those that MindScope has no counts for are left out.
func (p *prices) UnmarshalJSON(raw []byte) error {
	type plain prices
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	p.free = len(all) == 0
	return json.Unmarshal(raw, (*plain)(p))
}

// cost prices a call. It returns false when the amounts are beyond all reason, and when the model is not sold by tokens
// or calls (but by hours of audio, say): what it costs is not known then.
func (p *prices) cost(u Usage) (Parts, bool) {
	var parts Parts
	if !p.Input.set && !p.Output.set && !p.Requests.set && !p.free {
		return parts, false
	}
	var in, out, fixed sum
	p.input(u, &parts, &in)
	p.output(u, &parts, &out)
	// Requests are priced by the thousand, tokens by the million.
	fixed.add(&parts.Request, 1000, p.Requests.base)
	return parts, !in.beyond && !out.beyond && !fixed.beyond
}

// input prices what went in. Each price takes its tokens out of the input as far as there is input left; what has no
// price of its own goes by the input's.
func (p *prices) input(u Usage, parts *Parts, in *sum) {
	rest := u.Input
	take := func(part *Pico, tokens int64, t *tiered) {
		tokens = max(min(tokens, rest), 0)
		rest -= tokens
		in.add(part, tokens, t.at(u.Input))
	}
	cacheRead := u.CacheRead
	none := tiered{}
	for _, m := range [...]struct {
		cached, all          int64
		cachedPrice, ownWord *tiered
	}{
		{u.CacheReadAudio, u.InputAudio, &p.CacheReadAudio, &p.InputAudio},
		{u.CacheReadImage, u.InputImage, &p.CacheReadImage, &p.InputImage},
		{u.CacheReadVideo, u.InputVideo, &none, &p.InputVideo},
	} {
		if m.cachedPrice.set {
			take(&parts.CacheRead, m.cached, m.cachedPrice)
			cacheRead -= m.cached
		}
		if m.ownWord.set {
			// Cached tokens without a price of their own kind go by the cache's price below.
			take(&parts.Uncached, m.all-m.cached, m.ownWord)
		}
	}
	if p.CacheRead.set {
		take(&parts.CacheRead, cacheRead, &p.CacheRead)
	}
	switch {
	case p.CacheWrite1h.set:
		take(&parts.CacheWrite1h, u.CacheWrite1h, &p.CacheWrite1h)
	case p.CacheWrite.set:
		take(&parts.CacheWrite1h, u.CacheWrite1h, &p.CacheWrite)
	}
	if p.CacheWrite.set {
		take(&parts.CacheWrite5m, u.CacheWrite-u.CacheWrite1h, &p.CacheWrite)
	}
	take(&parts.Uncached, rest, &p.Input)
}

// output prices what came out.
func (p *prices) output(u Usage, parts *Parts, out *sum) {
	rest := u.Output
	for _, m := range [...]struct {
		tokens int64
		price  *tiered
		part   *Pico
	}{
		{u.OutputAudio, &p.OutputAudio, &parts.Visible},
		{u.OutputImage, &p.OutputImage, &parts.Visible},
		{u.OutputVideo, &p.OutputVideo, &parts.Visible},
		{u.Reasoning, &p.Reasoning, &parts.Reasoning},
	} {
		if m.price.set {
			n := max(min(m.tokens, rest), 0)
			rest -= n
			out.add(m.part, n, m.price.at(u.Input))
		}
	}
	if !p.Reasoning.set {
		n := max(min(u.Reasoning, rest), 0)
		rest -= n
		out.add(&parts.Reasoning, n, p.Output.at(u.Input))
	}
	out.add(&parts.Visible, rest, p.Output.at(u.Input))
}

// conditional are prices that hold from a date on or during some hours of the day, UTC.
type conditional struct {
	from       time.Time
	start, end time.Duration
	hours      bool
	prices     prices
}

func (c *conditional) holds(at time.Time) bool {
	if at.Before(c.from) {
		return false
	}
	if !c.hours {
		return true
	}
	at = at.UTC()
	day := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
	if c.start <= c.end {
		return day >= c.start && day < c.end
	}
	return day >= c.start || day < c.end
}

// schedule is a model's prices over time. The last that holds wins.
type schedule []conditional

func (s schedule) at(t time.Time) *prices {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].holds(t) {
			return &s[i].prices
		}
	}
	return nil
}

// UnmarshalJSON reads prices, or a list of prices with constraints.
func (s *schedule) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '{' {
		var p prices
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		*s = schedule{{prices: p}}
		return nil
	}
	var list []struct {
		Constraint struct {
			StartDate string `json:"start_date"`
			StartTime string `json:"start_time"`
			EndTime   string `json:"end_time"`
		} `json:"constraint"`
		Prices prices `json:"prices"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, e := range list {
		c := conditional{prices: e.Prices}
		var err error
		if e.Constraint.StartDate != "" {
			if c.from, err = time.Parse(time.DateOnly, e.Constraint.StartDate); err != nil {
				return fmt.Errorf("read date of price: %w", err)
			}
		}
		if e.Constraint.StartTime != "" {
			c.hours = true
			if c.start, err = timeOfDay(e.Constraint.StartTime); err != nil {
				return err
			}
			if c.end, err = timeOfDay(e.Constraint.EndTime); err != nil {
				return err
			}
		}
		*s = append(*s, c)
	}
	return nil
}

func timeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04:05Z07:00", text)
	if err != nil {
		return 0, fmt.Errorf("read hours of price: %w", err)
	}
	t = t.UTC()
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, nil
}
