package eventdb

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine keeps the names of a day's streams, kind and service, in an index that comes to disk on its own, a second or so
// after the first rows of a stream. A process that is killed in between leaves rows that no question for their stream finds, until
// another row of the stream comes. The replay of the log, which has these rows still, looks for such streams, as does what sends rows to a
// storage node that was killed. It stores a mark in each, a row that no reader sees and that stays until its day goes.

// lostStream names a stream of one day.
type lostStream struct {
	tenant logstorage.TenantID
	day    int64
	names  string
}

// samples has what is stored of each stream that was found as it was: a time of the day and what names the stream.
type samples map[lostStream]encoded

// add notes a row that the engine has.
func (s samples) add(t logstorage.TenantID, row *encoded) {
	k := streamKeyOf(t, row)
	if _, ok := s[k]; ok {
		return
	}
	mark := encoded{time: row.time, streams: row.streams}
	for _, f := range row.fields[:row.streams] {
		mark.add(strings.Clone(f.Name), strings.Clone(f.Value)) // the row's texts are parts of a whole record
	}
	mark.add(colMark, "1")
	s[k] = mark
}

func streamKeyOf(t logstorage.TenantID, row *encoded) lostStream {
	return lostStream{t, dayOf(row.time), streamNames(row)}
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

// unnamed returns the marks of those streams of which no question finds a row.
func (s samples) unnamed(ctx context.Context, q querier, account uint32) (map[logstorage.TenantID][]encoded, error) {
	out := map[logstorage.TenantID][]encoded{}
	for k, mark := range s {
		t := logstorage.TenantID{AccountID: account, ProjectID: k.tenant.ProjectID}
		found := false
		query := "_stream:{" + k.names + "}" + fieldsPipe([]string{colTime}) + " | limit 1"
		err := run(ctx, q, t, query, signal.TimeRange{Start: k.day, End: k.day + int64(day)}, func(b *logstorage.DataBlock) error {
			found = found || b.RowsCount() > 0
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for a stream: %w", err)
		}
		if !found {
			out[t] = append(out[t], mark)
		}
	}
	return out, nil
}

// NameStreams implements engine.
func (e embedded) NameStreams(ctx context.Context, s samples) (named int, err error) {
	e.DebugFlush() // rows that were just added bring the names of theirs
	lost, err := s.unnamed(ctx, e, embeddedAccount)
	for t, marks := range lost {
		if _, err := e.Add(t, marks); err != nil {
			return named, fmt.Errorf("name a stream: %w", err)
		}
		named += len(marks)
	}
	return named, err
}

// NameStreams implements engine: each node keeps names of its own, also of streams of which it has no rows.
func (n *nodes) NameStreams(ctx context.Context, s samples) (named int, err error) {
	if len(s) == 0 {
		return 0, nil
	}
	for _, nd := range n.all {
		if err := nd.flush(ctx); err != nil {
			return named, fmt.Errorf("storage node %s: %w", nd.addr, err)
		}
		blocks, marks, err := nd.marks(ctx, s, n.account)
		if err != nil {
			return named, fmt.Errorf("storage node %s: %w", nd.addr, err)
		}
		for _, b := range blocks {
			if !nd.offer(b) {
				nd.hold(b)
			}
		}
		named += marks
	}
	return named, nil
}

// marks returns the marks of streams of which the node finds no row, and how many they are.
func (nd *node) marks(ctx context.Context, s samples, account uint32) (blocks []*block, n int, err error) {
	lost, err := s.unnamed(ctx, nd.sel, account)
	for t, marks := range lost {
		made, _ := makeBlocks(t, marks)
		blocks, n = append(blocks, made...), n+len(marks)
	}
	return blocks, n, err
}

// nameStreams marks the streams of rows that the node has, unless they are named, or their names come with rows that it has not.
func (nd *node) nameStreams(ctx context.Context, b *block, have map[string]struct{}, log *slog.Logger) error {
	unsure := nd.unsure(b, have)
	blocks, n, err := nd.marks(ctx, unsure, b.tenant.AccountID)
	if err != nil {
		return err
	}
	for _, marks := range blocks {
		if err := nd.send(ctx, marks); err != nil {
			return fmt.Errorf("name a stream: %w", err)
		}
		nd.mu.Lock()
		nd.keep(marks)
		nd.mu.Unlock()
	}
	if n > 0 {
		log.Info("a storage node had rows whose streams had no names on its disk: they are named again", "node", nd.addr, "streams", n)
	}
	if nd.named == nil || len(nd.named) > maxNamed {
		nd.named = map[lostStream]bool{}
	}
	for k := range unsure {
		nd.named[k] = true
	}
	return nil
}

// unsure returns the streams of the block's rows that the node has, without those that are named for certain.
func (nd *node) unsure(b *block, have map[string]struct{}) samples {
	stored, comes := samples{}, map[lostStream]bool{}
	_, _ = b.rows(func(r *logstorage.InsertRow) bool { // read before, without an error
		row := encodedOf(r)
		if _, ok := have[copyOf(r)]; ok {
			stored.add(b.tenant, &row)
		} else {
			comes[streamKeyOf(b.tenant, &row)] = true
		}
		return false
	})
	maps.DeleteFunc(stored, func(k lostStream, _ encoded) bool { return comes[k] || nd.named[k] })
	return stored
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
