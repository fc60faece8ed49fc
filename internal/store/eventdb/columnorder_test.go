package eventdb

import (
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

func namesOf(columns []logstorage.Field) []string {
	var out []string
	for _, c := range columns {
		out = append(out, c.Name)
	}
	return out
}

func TestColumnOrder(t *testing.T) {
	var e encoder
	encode := func(service string, names ...string) encoded {
		t.Helper()
		r := store.Row{Kind: store.KindSpan, ID: "1", Fields: []store.Field{{Name: colService, Value: store.String(service)}}}
		for _, name := range names {
			r.Fields = append(r.Fields, store.Field{Name: name, Value: store.String("value of " + name)})
		}
		row, err := e.encode(&r)
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	sorted := func(row encoded, n int) {
		t.Helper()
		if got := row.streams; got != n {
			t.Errorf("the stream has %d columns, want %d", got, n)
		}
		if names := namesOf(row.fields[n:]); !slices.IsSorted(names) {
			t.Errorf("columns %q are not in order", names)
		}
		for _, f := range row.fields[n:] {
			if f.Name[0] != '_' && f.Name != colService && f.Value != "value of "+f.Name {
				t.Errorf("column %s has %q", f.Name, f.Value)
			}
		}
	}
	for range 2 { // the second time, the orders are known
		sorted(encode("writer", "c", "b", "a"), 2)
		sorted(encode("writer", "a", "c", "b"), 2)
		sorted(encode("writer", "c", "a"), 2)
		sorted(encode("", "c", "b", "a", "z"), 1)
		if row := encode("writer", "c", "b", "c", "a"); namesOf(row.fields)[len(row.fields)-1] != "c" || row.fields[len(row.fields)-2].Name != "b" {
			t.Errorf("a repeated field makes columns %q", namesOf(row.fields))
		}
	}
	if n := len(e.orders); n != 5 {
		t.Errorf("%d orders are remembered of 5 shapes", n)
	}
	// A service that is too long for the stream's name is a column like others, one that may be behind a field of the sender's.
	long := strings.Repeat("x", maxServiceLen+1)
	for _, services := range [][]string{{long, "writer"}, {"writer", long}} {
		e = encoder{}
		for i, service := range services {
			want := []string{colKind, "A", colID, colService}
			if service != long {
				want = []string{colKind, colService, "A", colID}
			}
			if diff := cmp.Diff(want, namesOf(encode(service, "A").fields)); diff != "" {
				t.Errorf("columns of a row with a service of %d bytes, number %d (-want +got):\n%s", len(service), i, diff)
			}
		}
	}
}

// Two rows whose shapes are the same by chance stay whole.
func TestColumnOrderOfAnother(t *testing.T) {
	columns := func(names ...string) (out []logstorage.Field) {
		for _, name := range names {
			out = append(out, logstorage.Field{Name: name, Value: "value of " + name})
		}
		return out
	}
	var o columnOrders
	var p pieces
	o.sort(&p, columns("k", "c", "b", "a"), 1, 1)
	got := o.sort(&p, columns("k", "a", "b", "c"), 1, 1)
	if diff := cmp.Diff(columns("k", "c", "b", "a"), got); diff != "" {
		t.Errorf("a row with another's order (-want +got):\n%s", diff)
	}
	got = o.sort(&p, columns("k", "b", "a"), 1, 1)
	if diff := cmp.Diff(columns("k", "a", "b"), got); diff != "" {
		t.Errorf("a row of another length (-want +got):\n%s", diff)
	}
}

func TestColumnOrdersAreBounded(t *testing.T) {
	var o columnOrders
	var p pieces
	for shape := range uint64(3 * maxOrders) {
		o.sort(&p, []logstorage.Field{{Name: "k"}}, 1, shape)
		if len(o) > maxOrders {
			t.Fatalf("%d orders are remembered", len(o))
		}
	}
}
