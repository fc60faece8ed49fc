package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
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

// MaxIDBytes is the length of the longest row id.
const MaxIDBytes = 1024

// RejectRow returns why a store that accepts the range accept of times can't take r, "" when it can.
func RejectRow(r *Row, accept signal.TimeRange, retention time.Duration) string {
	heartbeat := r.Kind == KindHeartbeat // never stored, so that nothing else matters
	switch {
	case r.Kind == "", r.Kind == KindPayload, strings.HasPrefix(string(r.Kind), "_"):
		return fmt.Sprintf("rows of kind %q can't be written", r.Kind)
	case heartbeat:
		return ""
	case r.Time < accept.Start:
		return fmt.Sprintf("older than the retention of %s", formatDays(retention))
	case r.Time >= accept.End:
		return "too far in the future"
	case r.ID == "" || len(r.ID) > MaxIDBytes:
		return fmt.Sprintf("row id of %d bytes: 1 to %d are allowed", len(r.ID), MaxIDBytes)
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
	var partial error
	for r, err := range rows {
		if errors.Is(err, ErrPartial) {
			partial = err
			break
		}
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
	return out, partial
}

// SortGroups orders groups by time, then key.
func SortGroups(groups []Group) {
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), slices.Compare(a.Key, b.Key))
	})
}

// groupKey returns a text that differs for different groups, and the beginning of the row's step.
func groupKey(q Aggregate, r *Row) (string, int64) {
	start := StepStart(q, r.Time)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 64), uint64(start))
	for _, field := range q.By {
		text := textOf(r, field)
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return string(b), start
}

// StepStart returns the beginning of the step of q that a time of its range lies in, 0 without steps.
func StepStart(q Aggregate, t int64) int64 {
	if q.Step <= 0 {
		return 0
	}
	// Unsigned, since a range may be longer than an int64 counts.
	return t - int64((uint64(t)-uint64(q.Time.Start))%uint64(q.Step))
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
		if c.Func == SumLen {
			acc.sums[i] += float64(len(v.Text()))
			continue
		}
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
		acc.addInt(i, v)
	}
}

// addInt keeps the sum of integers, until one value is none or the sum outgrows an int64; sums has it as a double then.
func (acc *accumulator) addInt(i int, v Value) {
	sum := acc.ints[i] + v.Int()
	if v.typ != TypeInt || (sum < acc.ints[i]) != (v.Int() < 0) {
		acc.exact[i] = false
	}
	acc.ints[i] = sum
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
	case c.Func == SumLen:
		return acc.sums[i]
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
