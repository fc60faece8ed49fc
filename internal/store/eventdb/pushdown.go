package eventdb

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/store"
)

const (
	// defaultGroups is the limit of groups when an Aggregate names none.
	defaultGroups = 10_000
	// maxSamples is how many values of a group a quantile is computed from; beyond it they are a fair sample, whose
	// quantiles have a rank within 1 % of the asked one.
	maxSamples = 100_000
)

// plainNumberText matches the texts that the engine and Value.Number read as the same number.
const plainNumberText = `^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$`

// pushable tells whether the engine computes an aggregate exactly: its verdict on rows is right, no row has a newer
// revision, and no row has a value the aggregate needs elsewhere than in its column.
func (db *DB) pushable(ctx context.Context, pl *plan, q store.Aggregate) (bool, error) {
	if !pl.pure() || q.Step < 0 || q.Step > 0 && (q.Time.Start < 0 || int64(q.Step) > maxExact) {
		return false, nil
	}
	var numeric []string
	for _, c := range q.Columns {
		switch c.Func {
		case store.CountRows:
		case store.CountDistinct, store.SumLen:
			if !columnName(c.Field) {
				return false, nil
			}
		case store.Sum, store.Min, store.Max, store.Avg, store.Quantile:
			if !columnName(c.Field) {
				return false, nil
			}
			if impliedType(c.Field) != store.TypeInt {
				numeric = append(numeric, c.Field)
			}
		default:
			return false, nil
		}
	}
	if slices.ContainsFunc(q.By, func(f string) bool { return !columnName(f) }) {
		return false, nil
	}
	odd, err := db.anyRow(ctx, pl, touches(slices.Concat(neededBy(q), pl.fields)))
	if odd || err != nil {
		return false, err
	}
	for _, f := range numeric {
		if odd, err = db.anyRow(ctx, pl, oddNumbers(f)); odd || err != nil {
			return false, err
		}
	}
	return true, nil
}

// pure tells whether the engine's verdict is right for every plain row.
func (pl *plan) pure() bool { return pl.exact && !pl.all && !pl.revised }

// oddNumbers finds texts of a column that are no number, or not the same one to the engine. Columns that the engine
// keeps in binary form hold numbers only.
func oddNumbers(name string) string {
	q := quote(name)
	var kinds []string
	for _, t := range []string{"string", "dict", "const", "ipv4", "iso8601"} {
		kinds = append(kinds, q+":value_type("+t+")")
	}
	return fieldHas(name) + " (" + strings.Join(kinds, " or ") + ") !" + q + ":~" + quote(plainNumberText)
}

// anyRow tells whether a row of the plan's kind and time meets a condition.
func (db *DB) anyRow(ctx context.Context, pl *plan, condition string) (bool, error) {
	some := false
	query := ofKind(pl.kind) + " (" + condition + ")" + fieldsPipe([]string{colTime}) + " | limit 1"
	err := run(ctx, db.events, pl.tenant, query, pl.at, func(*logstorage.DataBlock) error {
		some = true
		return nil
	})
	return some, pl.silent(err) // the rows of what does not answer are not asked for either
}

// aggregateInEngine computes an aggregate that is pushable. Quantiles are computed here, from the columns: the
// engine's sample is too small for one within 1 %.
func (db *DB) aggregateInEngine(ctx context.Context, pl *plan, q store.Aggregate) ([]store.Group, error) {
	limit := cmp.Or(q.Limit, defaultGroups)
	groups, err := db.stats(ctx, pl, q, limit)
	if err := pl.silent(err); err != nil {
		return nil, err
	}
	if len(groups) > limit {
		return nil, fmt.Errorf("aggregate: more than %d groups: %w", limit, store.ErrTooMany)
	}
	for i, c := range q.Columns {
		if c.Func != store.Quantile {
			continue
		}
		if err := pl.silent(db.quantiles(ctx, pl, q, i, groups)); err != nil {
			return nil, err
		}
	}
	out := make([]store.Group, 0, len(groups))
	for _, g := range groups {
		out = append(out, *g)
	}
	store.SortGroups(out)
	return out, pl.partial
}

// stats runs the engine's stats over the plan and returns the groups by key, at most one more than limit.
func (db *DB) stats(ctx context.Context, pl *plan, q store.Aggregate, limit int) (map[string]*store.Group, error) {
	by := make([]string, 0, len(q.By)+1)
	for _, f := range q.By {
		by = append(by, quote(f))
	}
	if step := int64(q.Step); step > 0 {
		by = append(by, fmt.Sprintf("_time:%dns offset %dns", step, (step-q.Time.Start%step)%step))
	}
	funcs := []string{`count() as "_n"`}
	for i, c := range q.Columns {
		if f := engineFunc(c); f != "" {
			funcs = append(funcs, fmt.Sprintf(`%s as "_c%d"`, f, i))
		}
	}
	query := pl.plain + " | stats by (" + strings.Join(by, ", ") + ") " + strings.Join(funcs, ", ") + fmt.Sprintf(" | limit %d", limit+1)
	groups := map[string]*store.Group{}
	err := run(ctx, db.events, pl.tenant, query, pl.at, func(b *logstorage.DataBlock) error {
		keys := newKeys(b, q)
		for i, n := range texts(b, "_n") {
			if n == "0" {
				continue // without By the engine has a group even for no rows
			}
			g := &store.Group{Start: keys.start(i), Key: keys.key(i), Values: make([]float64, len(q.Columns))}
			for k, c := range q.Columns {
				g.Values[k] = resultOf(b, c, k, i)
			}
			groups[keys.text(i)] = g
		}
		return nil
	})
	return groups, err
}

func engineFunc(c store.Column) string {
	switch c.Func {
	case store.Sum, store.Min, store.Max, store.Avg:
		return string(c.Func) + "(" + quote(c.Field) + ") if (" + fieldHas(c.Field) + ")"
	case store.CountDistinct:
		return "count_uniq(" + quote(c.Field) + ")"
	case store.SumLen:
		return "sum_len(" + quote(c.Field) + ")"
	default:
		return ""
	}
}

func resultOf(b *logstorage.DataBlock, c store.Column, column, row int) float64 {
	name := "_c" + strconv.Itoa(column)
	switch c.Func {
	case store.CountRows:
		name = "_n"
	case store.Quantile:
		return math.NaN()
	}
	v, err := strconv.ParseFloat(texts(b, name)[row], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// groupKeys reads the keys of groups from a block of the engine.
type groupKeys struct {
	columns [][]string
	times   []int64
	aligned func(t int64) int64
}

func newKeys(b *logstorage.DataBlock, q store.Aggregate) *groupKeys {
	k := &groupKeys{}
	for _, f := range q.By {
		k.columns = append(k.columns, texts(b, f))
	}
	if q.Step > 0 {
		k.times, _ = b.GetTimestamps(nil)
		k.aligned = func(t int64) int64 { return store.StepStart(q, t) }
	}
	return k
}

func (k *groupKeys) start(i int) int64 {
	if k.times == nil {
		return 0
	}
	// The first step may begin before the range; its rows do not, so that the sum is not negative.
	return k.times[i]
}

func (k *groupKeys) key(i int) []string {
	key := make([]string, len(k.columns))
	for c := range k.columns {
		key[c] = strings.Clone(k.columns[c][i])
	}
	return key
}

func (k *groupKeys) text(i int) string { return k.textAt(i, k.start(i)) }

func (k *groupKeys) textAt(i int, start int64) string {
	b := binary.LittleEndian.AppendUint64(nil, uint64(start))
	for c := range k.columns {
		b = binary.AppendUvarint(b, uint64(len(k.columns[c][i])))
		b = append(b, k.columns[c][i]...)
	}
	return string(b)
}

// quantiles computes one column of groups from the values themselves.
func (db *DB) quantiles(ctx context.Context, pl *plan, q store.Aggregate, column int, groups map[string]*store.Group) error {
	c := q.Columns[column]
	samples := make(map[string]*reservoir, len(groups))
	cols := append([]string{c.Field}, q.By...)
	if q.Step > 0 {
		cols = append(cols, colTime)
	}
	query := pl.plain + " " + fieldHas(c.Field) + fieldsPipe(cols)
	err := run(ctx, db.events, pl.tenant, query, pl.at, func(b *logstorage.DataBlock) error {
		keys := newKeys(b, q)
		for i, text := range texts(b, c.Field) {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) {
				continue
			}
			var start int64
			if keys.times != nil {
				start = keys.aligned(keys.times[i])
			}
			key := keys.textAt(i, start)
			r := samples[key]
			if r == nil {
				r = &reservoir{rng: rand.New(rand.NewPCG(1, 2))}
				samples[key] = r
			}
			r.add(v)
		}
		return nil
	})
	for key, r := range samples {
		if g := groups[key]; g != nil {
			g.Values[column] = r.quantile(c.Phi)
		}
	}
	return err
}

// reservoir is a fair sample of a stream of values.
type reservoir struct {
	values []float64
	n      int64
	rng    *rand.Rand
}

func (r *reservoir) add(v float64) {
	r.n++
	if len(r.values) < maxSamples {
		r.values = append(r.values, v)
		return
	}
	if i := r.rng.Int64N(r.n); i < maxSamples {
		r.values[i] = v
	}
}

func (r *reservoir) quantile(phi float64) float64 {
	slices.Sort(r.values)
	i := int(phi * float64(len(r.values)))
	return r.values[max(0, min(i, len(r.values)-1))]
}
