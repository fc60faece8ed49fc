package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// What engines share: the parts of the contract that are the same whatever stores the rows. An engine uses them for
// what it can't push down.

// RejectTime returns why a row of time t can't be taken by a store that accepts the range accept, "" when it can.
func RejectTime(t int64, accept signal.TimeRange, retention time.Duration) string {
	switch {
	case t < accept.Start:
		return fmt.Sprintf("older than the retention of %s", formatDays(retention))
	case t >= accept.End:
		return "too far in the future"
	default:
		return ""
	}
}

func formatDays(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 && d >= day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// IsPayload tells whether a field's content is kept as a payload: a text attribute of PayloadMinBytes or more.
func IsPayload(f Field) bool {
	return len(f.Value.str) >= PayloadMinBytes && strings.HasPrefix(f.Name, PrefixAttr) &&
		(f.Value.typ == TypeString || f.Value.typ == TypeSlice || f.Value.typ == TypeMap)
}

// MediaTypeOf guesses the media type of a payload from its first byte.
func MediaTypeOf(body string) string {
	if body != "" && (body[0] == '{' || body[0] == '[') {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// Project returns r with the named fields only, r itself when fields is nil.
func Project(r *Row, fields []string) *Row {
	if fields == nil {
		return r
	}
	out := &Row{Kind: r.Kind, ID: r.ID, Time: r.Time}
	for _, f := range r.Fields {
		if slices.Contains(fields, f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// SortRows sorts rows as a Select with that order yields them.
func SortRows(rows []*Row, o Order) {
	if o == Unordered {
		return
	}
	slices.SortFunc(rows, func(a, b *Row) int {
		byTime := cmp.Compare(a.Time, b.Time)
		if o == NewestFirst {
			byTime = -byTime
		}
		return cmp.Or(byTime, strings.Compare(a.ID, b.ID))
	})
}

// SortCounts returns counts most frequent first, equal ones by text, at most limit (0: all).
func SortCounts(counts map[string]uint64, limit int) []Count {
	out := make([]Count, 0, len(counts))
	for text, n := range counts {
		out = append(out, Count{Text: text, Rows: n})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Text, b.Text))
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// maxGroups is the limit of groups when an Aggregate names none.
const maxGroups = 10_000

type accumulator struct {
	group    Group
	sums     []float64
	ints     []int64
	exact    []bool
	counts   []uint64
	samples  [][]float64
	distinct []map[string]bool
}

// AggregateRows computes q over rows that already passed its scope.
func AggregateRows(ctx context.Context, q Aggregate, rows iter.Seq2[*Row, error]) ([]Group, error) {
	limit := cmp.Or(q.Limit, maxGroups)
	groups := map[string]*accumulator{}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key, start := groupKey(q, r)
		acc, ok := groups[key]
		if !ok {
			if len(groups) >= limit {
				return nil, fmt.Errorf("aggregate: more than %d groups: %w", limit, ErrTooMany)
			}
			acc = newAccumulator(q, r, start)
			groups[key] = acc
		}
		acc.add(q, r)
	}
	out := make([]Group, 0, len(groups))
	for _, acc := range groups {
		out = append(out, acc.result(q))
	}
	SortGroups(out)
	return out, nil
}

// SortGroups orders groups by time, then key.
func SortGroups(groups []Group) {
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), slices.Compare(a.Key, b.Key))
	})
}

func groupKey(q Aggregate, r *Row) (string, int64) {
	var b strings.Builder
	var start int64
	if q.Step > 0 {
		start = q.Time.Start + (r.Time-q.Time.Start)/int64(q.Step)*int64(q.Step)
		fmt.Fprintf(&b, "%d", start)
	}
	for _, field := range q.By {
		b.WriteByte(0)
		b.WriteString(textOf(r, field))
	}
	return b.String(), start
}

func newAccumulator(q Aggregate, r *Row, start int64) *accumulator {
	n := len(q.Columns)
	acc := &accumulator{
		group: Group{Start: start, Key: make([]string, len(q.By)), Values: make([]float64, n)},
		sums:  make([]float64, n), ints: make([]int64, n), exact: make([]bool, n), counts: make([]uint64, n),
		samples: make([][]float64, n), distinct: make([]map[string]bool, n),
	}
	for i, field := range q.By {
		acc.group.Key[i] = textOf(r, field)
	}
	for i := range acc.exact {
		acc.exact[i] = true
	}
	return acc
}

func (acc *accumulator) add(q Aggregate, r *Row) {
	for i, c := range q.Columns {
		if c.Func == CountRows {
			acc.counts[i]++
			continue
		}
		v := valueOf(r, c.Field)
		if c.Func == CountDistinct {
			if text := v.Text(); text != "" {
				if acc.distinct[i] == nil {
					acc.distinct[i] = map[string]bool{}
				}
				acc.distinct[i][text] = true
			}
			continue
		}
		n, ok := v.Number()
		if !ok || math.IsNaN(n) {
			continue
		}
		if acc.counts[i] == 0 || c.Func == Min && n < acc.group.Values[i] || c.Func == Max && n > acc.group.Values[i] {
			acc.group.Values[i] = n
		}
		acc.counts[i]++
		acc.sums[i] += n
		if c.Func == Quantile {
			acc.samples[i] = append(acc.samples[i], n)
		}
		if v.typ == TypeInt {
			acc.ints[i] += v.Int()
		} else {
			acc.exact[i] = false
		}
	}
}

func (acc *accumulator) result(q Aggregate) Group {
	for i, c := range q.Columns {
		acc.group.Values[i] = acc.value(i, c)
	}
	return acc.group
}

func (acc *accumulator) value(i int, c Column) float64 {
	n := acc.counts[i]
	switch {
	case c.Func == CountRows:
		return float64(n)
	case c.Func == CountDistinct:
		return float64(len(acc.distinct[i]))
	case n == 0:
		return math.NaN()
	case c.Func == Sum && acc.exact[i]:
		return float64(acc.ints[i])
	case c.Func == Sum:
		return acc.sums[i]
	case c.Func == Avg:
		return acc.sums[i] / float64(n)
	case c.Func == Quantile:
		slices.Sort(acc.samples[i])
		return acc.samples[i][min(int(c.Phi*float64(len(acc.samples[i]))), len(acc.samples[i])-1)]
	default: // Min, Max
		return acc.group.Values[i]
	}
}
