package eventdb

import (
	"sync"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// pieceLen is how many columns are allocated at once: 128 KiB.
const pieceLen = 4096

// pieces is the memory of the columns of a batch's rows. It is used again when the batch is stored: what engines keep of rows
// they copy.
type pieces struct {
	pool *sync.Pool // of *[]logstorage.Field of pieceLen; nil to leave them to the garbage collector
	used []*[]logstorage.Field
}

// room returns an empty slice for n columns.
func (p *pieces) room(n int) []logstorage.Field {
	if n > pieceLen {
		return make([]logstorage.Field, 0, n)
	}
	if len(p.used) == 0 || pieceLen-len(*p.used[len(p.used)-1]) < n {
		p.used = append(p.used, p.next())
	}
	piece := p.used[len(p.used)-1]
	at := len(*piece)
	*piece = (*piece)[:at+n]
	return (*piece)[at : at : at+n]
}

func (p *pieces) next() *[]logstorage.Field {
	if p.pool != nil {
		if piece, ok := p.pool.Get().(*[]logstorage.Field); ok {
			return piece
		}
	}
	piece := make([]logstorage.Field, 0, pieceLen)
	return &piece
}

// free gives the memory back. The rows are gone then.
func (p *pieces) free() {
	for _, piece := range p.used {
		clear(*piece) // it must keep no request alive
		*piece = (*piece)[:0]
		if p.pool != nil {
			p.pool.Put(piece)
		}
	}
	p.used = nil
}
