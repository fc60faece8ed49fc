package eventdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine keeps the names of a day's streams, kind and service, in an index that comes to disk on its own, a second or so
// after the first rows of a stream. A process that is killed in between leaves rows that no question for their stream finds, until
// another row of the stream comes. The replay of the log, which has these rows still, looks for such streams, as does what sends rows to a
// storage node that was killed. One row of each is removed and stored again, which brings the name; until it is, the log has it.

// streamOfDay names a stream of one day, in one place that keeps names of its own.
type streamOfDay struct {
	tenant logstorage.TenantID
	day    int64
	names  string
	shard  int
}

// samples has a stored row of each stream that a replay left as it was.
type samples map[streamOfDay]encoded

// add notes a row that the engine has.
func (s samples) add(t logstorage.TenantID, row *encoded, shard int) {
	k := streamKeyOf(t, row, shard)
	if _, ok := s[k]; !ok {
		s[k] = cloneRow(row) // its texts are parts of a whole record
	}
}

func streamKeyOf(t logstorage.TenantID, row *encoded, shard int) streamOfDay {
	return streamOfDay{t, dayOf(row.time), streamNames(row), shard}
}

// of returns the rows of each tenant.
func (s samples) of() map[logstorage.TenantID][]encoded {
	out := map[logstorage.TenantID][]encoded{}
	for k, row := range s {
		out[k.tenant] = append(out[k.tenant], row)
	}
	return out
}

func cloneRow(row *encoded) encoded {
	out := encoded{time: row.time, streams: row.streams, fields: make([]logstorage.Field, 0, len(row.fields))}
	for _, f := range row.fields {
		out.add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	return out
}

// streamNames is how a question names a row's stream.
func streamNames(row *encoded) string {
	var b strings.Builder
	for i, f := range row.fields[:row.streams] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(f.Name) + "=" + quote(f.Value))
	}
	return b.String()
}

// storedRow is the condition of one row that is stored, its stream's name aside.
func storedRow(row *encoded) string {
	is := []string{colTime + ":[" + rfc3339(row.time) + "," + rfc3339(row.time) + "]"}
	for _, f := range row.fields {
		switch f.Name {
		case colKind, colID, colHash, colChunk, colGroup, store.FieldTraceID, store.FieldRevision:
			is = append(is, fieldIs(f.Name, f.Value))
		}
	}
	return strings.Join(is, " ")
}

// lostStreams returns those of the rows that are stored and that no question for their stream finds.
func lostStreams(ctx context.Context, q querier, t logstorage.TenantID, rows []encoded) ([]encoded, error) {
	var lost []encoded
	for i := range rows {
		row := &rows[i]
		is := storedRow(row)
		found, err := anyRow(ctx, q, t, "_stream:{"+streamNames(row)+"} "+is, row.time)
		if err == nil && !found {
			if found, err = anyRow(ctx, q, t, is, row.time); found {
				lost = append(lost, *row)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("look for a stream: %w", err)
		}
	}
	return lost, nil
}

// anyRow tells whether a query has an answer at a time.
func anyRow(ctx context.Context, q querier, t logstorage.TenantID, query string, at int64) (found bool, err error) {
	err = run(ctx, q, t, query+fieldsPipe([]string{colTime}), signal.TimeRange{Start: at, End: at + 1}, func(b *logstorage.DataBlock) error {
		found = found || b.RowsCount() > 0
		return nil
	})
	return found, err
}

// removeStored removes rows that are to be stored again.
func removeStored(ctx context.Context, d deleter, t logstorage.TenantID, rows []encoded) error {
	for rows := range slices.Chunk(rows, rowsPerRemoval) {
		var either []string
		for i := range rows {
			either = append(either, "("+storedRow(&rows[i])+")")
		}
		if err := deleteRows(ctx, d, t, strings.Join(either, " or ")); err != nil {
			return fmt.Errorf("remove rows of streams without a name: %w", err)
		}
	}
	return nil
}

// rowsPerRemoval bounds how many rows one removal names.
const rowsPerRemoval = 100

// NameStreams implements engine.
func (e embedded) NameStreams(ctx context.Context, s samples) (int, error) {
	named := 0
	e.DebugFlush() // rows that were just added bring the names of theirs
	for t, rows := range s.of() {
		lost, err := lostStreams(ctx, e, t, rows)
		if err != nil {
			return named, err
		}
		if err := removeStored(ctx, e, t, lost); err != nil {
			return named, err
		}
		if _, err := e.Add(t, lost); err != nil {
			return named, fmt.Errorf("name a stream: %w", err)
		}
		named += len(lost)
	}
	return named, nil
}

// NameStreams implements engine: each node keeps names of its own.
func (n *nodes) NameStreams(ctx context.Context, s samples) (int, error) {
	named := 0
	for _, nd := range n.all {
		if len(s) == 0 {
			break
		}
		if err := nd.flush(ctx); err != nil {
			return named, fmt.Errorf("storage node %s: %w", nd.addr, err)
		}
		for t, rows := range s.of() {
			t.AccountID = n.account
			lost, err := nd.removeLost(ctx, t, rows)
			if err != nil {
				return named, fmt.Errorf("storage node %s: %w", nd.addr, err)
			}
			blocks, _ := makeBlocks(t, lost)
			for _, b := range blocks {
				if !nd.offer(b) {
					nd.hold(b)
				}
			}
			named += len(lost)
		}
	}
	return named, nil
}

// removeLost removes those of the rows that the node has and does not find by their stream. They are to be sent again.
func (nd *node) removeLost(ctx context.Context, t logstorage.TenantID, rows []encoded) ([]encoded, error) {
	lost, err := lostStreams(ctx, nd.sel, t, rows)
	if err != nil {
		return nil, err
	}
	return lost, removeStored(ctx, nd.sel, t, lost)
}

// encodedOf is a row of a block as the encoder made it: the columns of its stream are in front. It shares the row's memory.
func encodedOf(r *logstorage.InsertRow) encoded {
	row := encoded{time: r.Timestamp, streams: 1, fields: r.Fields}
	if len(r.Fields) > 1 && r.Fields[1].Name == colService {
		row.streams = 2
	}
	return row
}

// anyStream is ofKind for who must find rows of streams without a name.
func anyStream(k store.Kind) string { return fieldIs(colKind, string(k)) }
