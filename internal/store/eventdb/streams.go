package eventdb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// The engine keeps the names of a day's streams, kind and service, in an index that comes to disk on its own, a second or so
// after the first rows of a stream. A process that is killed in between leaves rows that no question for their stream finds, until
// another row of the stream comes. The replay of the log, which has these rows still, looks for such streams and names them anew.

// lostStream names a stream of one day.
type lostStream struct {
	tenant logstorage.TenantID
	day    int64
	names  string
}

// sample is one stored row of a stream.
type sample struct {
	row encoded // its time and what names its stream
	// is is the condition of the row, its stream aside.
	is string
}

// samples has a stored row of each stream that a replay left as it was.
type samples map[lostStream]sample

// add notes a row that the engine has.
func (s samples) add(t logstorage.TenantID, row *encoded, column, value string) {
	if s == nil {
		return
	}
	var names strings.Builder
	for _, f := range row.fields[:row.streams] {
		names.WriteString(strconv.Quote(f.Name) + strconv.Quote(f.Value))
	}
	k := lostStream{t, dayOf(row.time), names.String()}
	if _, ok := s[k]; !ok {
		// The row's texts are parts of a whole record.
		names := encoded{time: row.time, streams: row.streams}
		for _, f := range row.fields[:row.streams] {
			names.add(f.Name, strings.Clone(f.Value))
		}
		s[k] = sample{names, strings.Clone(fieldIs(column, value))}
	}
}

// nameStreams names those streams anew that the engine's index has lost: with a row each, which is deleted again. The names stay.
func (db *DB) nameStreams(ctx context.Context, e engine, all samples) error {
	marks := map[logstorage.TenantID][]string{}
	e.DebugFlush() // rows that the replay has just added bring the names of theirs
	for k, s := range all {
		found, err := db.named(ctx, e, k.tenant, s)
		if err != nil {
			return fmt.Errorf("look for a stream: %w", err)
		}
		if found {
			continue
		}
		mark := encoded{time: s.row.time, streams: s.row.streams, fields: append([]logstorage.Field{}, s.row.fields[:s.row.streams]...)}
		id := fmt.Sprintf("stream-%d-%d", time.Now().UnixNano(), len(marks[k.tenant]))
		mark.add(colMark, id)
		if _, err := e.Add(k.tenant, []encoded{mark}); err != nil {
			return fmt.Errorf("name a stream: %w", err)
		}
		marks[k.tenant] = append(marks[k.tenant], id)
	}
	for t, ids := range marks {
		e.DebugFlush()
		if err := deleteRows(ctx, e, t, fieldIn(colMark, ids)); err != nil {
			return fmt.Errorf("remove the marks of streams: %w", err)
		}
		db.cfg.Logger.Info("rows were found whose streams had no names on disk: they are named again", "streams", len(ids))
	}
	return nil
}

// named tells whether a question for its stream finds a row.
func (db *DB) named(ctx context.Context, e engine, t logstorage.TenantID, s sample) (found bool, err error) {
	var tags []string
	for _, f := range s.row.fields[:s.row.streams] {
		tags = append(tags, quote(f.Name)+"="+quote(f.Value))
	}
	query := "_stream:{" + strings.Join(tags, ",") + "} " + s.is + fieldsPipe([]string{colTime})
	at := signal.TimeRange{Start: s.row.time, End: s.row.time + 1}
	err = run(ctx, e, t, query, at, func(b *logstorage.DataBlock) error {
		found = found || b.RowsCount() > 0
		return nil
	})
	return found, err
}

// anyStream is ofKind for who must find rows of streams without a name.
func anyStream(k store.Kind) string { return fieldIs(colKind, string(k)) }
