package logql

import (
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// table says which fields labels are made of: the known ones, and those of attributes, once the store was asked for the
// names of its fields. A nil table knows the known ones only.
type table struct {
	// fields of the labels that attributes make; a name that is not there is no attribute's.
	fields map[string][]string
	// single are the labels that exactly one field makes, so that the store can filter and count by them.
	single map[string]*known
}

// known returns the label of a name that the store can filter and count by, nil when there is none.
func (t *table) known(name string) *known {
	if k := knownByName[name]; k != nil || t == nil {
		return k
	}
	return t.single[name]
}

// of returns the fields that a label may be made of; false when that can't be said.
func (t *table) of(name string) ([]string, bool) {
	if k := knownByName[name]; k != nil {
		return k.fields, true
	}
	if t == nil {
		return nil, name == labelError || name == labelErrorDetails
	}
	fields := t.fields[name]
	if plain, ok := strings.CutSuffix(name, extracted); ok {
		// A record has it where another label has taken the plain name.
		fields = slices.Concat(fields, t.fields[plain])
		if k := knownByName[plain]; k != nil {
			fields = append(fields, k.fields...)
		}
	}
	return fields, true
}

func newTable(names []store.Count) *table {
	t := &table{fields: map[string][]string{}, single: map[string]*known{}}
	for _, n := range names {
		if label := labelOf(n.Text); label != "" {
			t.fields[label] = append(t.fields[label], n.Text)
		}
	}
	for label, fields := range t.fields {
		if len(fields) == 1 && knownByName[label] == nil && !strings.HasSuffix(label, extracted) {
			t.single[label] = column(label, fields[0], false)
		}
	}
	return t
}

// lookUp asks the store for the names of its fields when a range looks at labels that may be attributes: otherwise
// every field of each record would have to be read.
func (r *run) lookUp(e *RangeExpr, by []string) (*table, error) {
	g := r.grouping(e, by)
	pl, err := newPlan(e.Log, nil)
	if err != nil {
		return nil, err
	}
	only, fields := needs(e, pl, g, nil)
	if only == nil || fields != nil {
		return nil, nil //nolint:nilnil // nothing is to be looked up
	}
	names, err := r.events.FieldNames(r.ctx, r.project, pl.scope(r.window(e)))
	if err != nil {
		return nil, err
	}
	return newTable(names), nil
}
