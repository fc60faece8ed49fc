package dialect

import (
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// usage holds the tokens of a call in disjoint buckets.
type usage struct {
	input, cacheRead, write5m, write1h, output, reasoning int64
	// What the sender didn't say is not known; it is not 0.
	hasInput, hasOutput bool
}

// tokens reads the buckets. It returns false when the span says neither input nor output: unknown is not 0.
func (r *reader) tokens(d *known) (usage, bool) {
	in, hasIn := r.count(d, fInput)
	out, hasOut := r.count(d, fOutput)
	if !hasIn && !hasOut {
		return usage{}, false
	}
	u := usage{hasInput: hasIn, hasOutput: hasOut}
	u.cacheRead, _ = r.count(d, fCacheRead)
	u.write5m, u.write1h = r.cacheWrites(d)
	u.reasoning, _ = r.count(d, fReasoning)
	cached := u.cacheRead + u.write5m + u.write1h
	u.input = in
	// More cached tokens than input tokens: the sender must have left them out of the input.
	if !d.noCache && cached <= in {
		u.input = in - cached
	}
	u.output = out
	if !d.visible && u.reasoning <= out {
		u.output = out - u.reasoning
	}
	return u, true
}

// cacheWrites splits what was written to a cache by its lifetime. What has no lifetime is the cheaper 5 minutes.
func (r *reader) cacheWrites(d *known) (short, long int64) {
	all, _ := r.count(d, fCacheWrite)
	short, has5m := r.count(d, fCacheWrite5m)
	long, has1h := r.count(d, fCacheWrite1h)
	switch {
	case has5m:
		return short, long
	case has1h:
		return max(all-long, 0), long
	default:
		return all, 0
	}
}

// maxTokens is beyond what any call can use; larger counts are nonsense.
const maxTokens = 1 << 40

// count reads a number of tokens. Strings and whole floats count; negative, broken and absurd numbers are no count.
func (r *reader) count(d *known, f field) (int64, bool) {
	for i := range d.rules[f] {
		p := &d.rules[f][i]
		if p.key == 0 || r.at[p.key] == 0 || p.only != "" && p.only != r.operation {
			continue
		}
		v := r.vals[r.at[p.key]-1]
		if len(p.json) > 0 {
			text, ok := r.inJSON(v, p.json)
			if !ok {
				continue
			}
			if n, ok := parseCount(text); ok {
				return n, true
			}
			continue
		}
		if n, ok := countOf(v); ok {
			return n, true
		}
	}
	return 0, false
}

func countOf(v pcommon.Value) (int64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		n := v.Int()
		return n, n >= 0 && n <= maxTokens
	case pcommon.ValueTypeDouble:
		f := v.Double()
		return int64(f), f >= 0 && f <= maxTokens && f == math.Trunc(f)
	case pcommon.ValueTypeStr:
		return parseCount(v.Str())
	default:
		return 0, false
	}
}

func parseCount(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if len(text) == 0 || len(text) > 24 {
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, n >= 0 && n <= maxTokens
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= maxTokens) || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// number reads a cost or a score: the first finite number that is not negative.
func (r *reader) number(d *known, f field) (float64, bool) {
	for i := range d.rules[f] {
		p := &d.rules[f][i]
		if len(p.sum) > 0 {
			if sum, ok := r.sum(p.sum); ok {
				return sum, true
			}
			continue
		}
		if p.key == 0 || r.at[p.key] == 0 {
			continue
		}
		v := r.vals[r.at[p.key]-1]
		if len(p.json) > 0 {
			text, ok := r.inJSON(v, p.json)
			if !ok {
				continue
			}
			if n, ok := parseNumber(text); ok {
				return n, true
			}
			continue
		}
		if n, ok := numberOf(v); ok {
			return n, true
		}
	}
	return 0, false
}

func (r *reader) sum(keys []uint16) (float64, bool) {
	total, found := 0.0, false
	for _, k := range keys {
		if r.at[k] == 0 {
			continue
		}
		if n, ok := numberOf(r.vals[r.at[k]-1]); ok {
			total, found = total+n, true
		}
	}
	return total, found
}

func numberOf(v pcommon.Value) (float64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return float64(v.Int()), v.Int() >= 0
	case pcommon.ValueTypeDouble:
		f := v.Double()
		return f, f >= 0 && !math.IsInf(f, 1)
	case pcommon.ValueTypeStr:
		return parseNumber(v.Str())
	default:
		return 0, false
	}
}

func parseNumber(text string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(f >= 0) || math.IsInf(f, 1) {
		return 0, false
	}
	return f, true
}
