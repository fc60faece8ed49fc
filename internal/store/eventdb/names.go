package eventdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// namesPerQuery bounds the columns whose rows are counted at once.
const namesPerQuery = 100

var errRepeated = errors.New("a field has several values")

// namesInEngine counts the rows that each field has a text in, without reading rows: columns by the engine, special
// values from their own column. It returns false where some row has a field both in a column and among its special
// values, which would be counted twice.
func (db *DB) namesInEngine(ctx context.Context, pl *plan) (map[string]uint64, bool, error) {
	counts := map[string]uint64{}
	names, err := db.columnNames(ctx, pl)
	if err != nil {
		return nil, false, err
	}
	if odd, err := db.anyRow(ctx, pl, touches(pl.fields)); odd || err != nil {
		return nil, false, err
	}
	query := pl.plain + " " + fieldHas(colSpecial) + fieldsPipe([]string{colSpecial})
	err = run(ctx, db.events, pl.tenant, query, pl.at, func(b *logstorage.DataBlock) error {
		for _, text := range texts(b, colSpecial) {
			if err := countSpecials(counts, text); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errRepeated) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, name := range names {
		if counts[name] == 0 {
			continue
		}
		if twice, err := db.anyRow(ctx, pl, fieldHas(name)+" "+specialApart(name)); twice || err != nil {
			return nil, false, err
		}
	}
	for len(names) > 0 {
		n := min(len(names), namesPerQuery)
		if err := db.countColumns(ctx, pl, names[:n], counts); err != nil {
			return nil, false, err
		}
		names = names[n:]
	}
	return counts, true, nil
}

// columnNames returns the names of the columns that hold fields of the rows in scope, and maybe of others near them.
func (db *DB) columnNames(ctx context.Context, pl *plan) ([]string, error) {
	var names []string
	err := run(ctx, db.events, pl.tenant, pl.plain+" | field_names", pl.at, func(b *logstorage.DataBlock) error {
		for _, name := range texts(b, "name") {
			if columnName(name) {
				names = append(names, strings.Clone(name))
			}
		}
		return nil
	})
	return names, err
}

func (db *DB) countColumns(ctx context.Context, pl *plan, names []string, counts map[string]uint64) error {
	funcs := make([]string, len(names))
	for i, name := range names {
		funcs[i] = fmt.Sprintf(`count(%s) as "_c%d"`, quote(name), i)
	}
	return run(ctx, db.events, pl.tenant, pl.plain+" | stats "+strings.Join(funcs, ", "), pl.at, func(b *logstorage.DataBlock) error {
		for i, name := range names {
			for _, text := range texts(b, "_c"+strconv.Itoa(i)) {
				n, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					return fmt.Errorf("count rows with %q: %w", name, err)
				}
				if n > 0 {
					counts[name] += n
				}
			}
		}
		return nil
	})
}

// countSpecials counts the fields of a row that have no column: payloads, and values that a column could not hold.
func countSpecials(counts map[string]uint64, text string) error {
	if text == "" {
		return nil
	}
	specials, err := parseSpecials(text)
	if err != nil {
		return err
	}
	for i, s := range specials {
		switch {
		case s.name == colInvalid || s.mode == modeExact:
			continue
		case s.name == colSpecial || s.name == colTypes || s.mode == modeWhole && columnName(s.name):
			return errRepeated
		}
		if slices.ContainsFunc(specials[:i], func(other special) bool { return other.name == s.name }) {
			return errRepeated
		}
		if s.mode != modeWhole || s.text != "" {
			counts[strings.Clone(s.name)]++
		}
	}
	return nil
}

// specialApart finds rows with a special value of this name that is a payload, as a whole or in parts; and maybe others.
func specialApart(name string) string {
	apart := make([]string, 0, 2)
	for _, mode := range []byte{modeRef, modeParts} {
		apart = append(apart, quote(colSpecial)+":"+quote(name+"\x00"+string(mode))+"*")
	}
	return "(" + strings.Join(apart, " or ") + ")"
}
