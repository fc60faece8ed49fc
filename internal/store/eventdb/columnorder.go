package eventdb

import (
	"slices"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// maxOrders bounds how many orders are remembered.
const maxOrders = 1000

// columnOrders puts columns into the order of their names. The engine does so with every row that it takes, and is fast with
// those in order; here most rows have the same columns as one before them, whose order is remembered.
type columnOrders map[uint64][]uint16 // from where each column comes, by the row's shape

// sort returns a row's columns in memory of p, the first n as they are and the others by name. Of two rows whose shapes are the
// same by chance, the engine sorts one itself.
func (o *columnOrders) sort(p *pieces, columns []logstorage.Field, n int, shape uint64) []logstorage.Field {
	order := (*o)[shape]
	if len(order) != len(columns) {
		order = orderOf(columns, n)
		o.keep(shape, order)
	}
	out := p.room(len(columns))[:len(columns)]
	for i, from := range order {
		out[i] = columns[from]
	}
	return out
}

func (o *columnOrders) keep(shape uint64, order []uint16) {
	if *o == nil || len(*o) >= maxOrders {
		*o = columnOrders{}
	}
	(*o)[shape] = order
}

func orderOf(columns []logstorage.Field, n int) []uint16 {
	order := make([]uint16, len(columns))
	for i := range order {
		order[i] = uint16(i)
	}
	slices.SortStableFunc(order[n:], func(a, b uint16) int { return strings.Compare(columns[a].Name, columns[b].Name) })
	return order
}
