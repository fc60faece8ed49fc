package eventdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// replayCounters are figures of the replay at start and of what was wrong with the log.
type replayCounters struct {
	records, rows, skipped, bytes, nanos atomic.Uint64

	// cut counts torn ends, cutBytes their bytes; corrupt counts damaged places that were leapt over.
	cut, cutBytes, corrupt, corruptBytes atomic.Uint64
}

// openLog replays the log's rows that the engine lost with its memory, gives the Observer what its state lacks, and
// continues the log.
func (db *DB) openLog() error {
	dir := filepath.Join(db.dir, dirWAL)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := checkWritable(dir); err != nil {
		return err
	}
	c, err := db.readCheckpoint()
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	if err := db.loadState(c); err != nil {
		return err
	}
	segments, err := listSegments(dir)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	r := &replay{
		db: db, done: c, last: max(c.engine, c.observed), pending: map[signal.Project]*replayed{},
		events: samples{}, payloads: samples{},
	}
	start := time.Now()
	if err := r.segments(segments); err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	if err := r.nameStreams(context.Background()); err != nil {
		return fmt.Errorf("replay log: %w", err)
	}
	db.replayed.nanos.Store(uint64(time.Since(start)))
	if n := db.replayed.records.Load(); n > 0 {
		db.cfg.Logger.Info("replayed the log", "records", n, "rows", db.replayed.rows.Load(), "already_stored", db.replayed.skipped.Load(),
			"bytes", db.replayed.bytes.Load(), "seconds", time.Since(start).Seconds())
	}
	if segments, err = listSegments(dir); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	db.done = checkpoint{engine: c.engine, observed: c.observed}
	db.doneUntil.Store(c.engine)
	db.turn.next = r.last + 1
	db.wal = openWAL(dir, db.cfg.Sync, db.cfg.SegmentBytes, segments, r.last, db.cfg.Logger)
	return nil
}

func (db *DB) loadState(c checkpoint) error {
	o, ok := db.cfg.Observer.(store.StatefulObserver)
	if !ok || c.packing == stateNone {
		return nil
	}
	state, err := c.state()
	if err == nil {
		err = o.Load(state)
	}
	if err != nil {
		// A state of another release: its counters begin anew, the rows are all there.
		db.cfg.Logger.Error("what was derived from earlier rows can't be read and begins anew", "error", err)
	}
	return nil
}

// replay reads the log once, in order.
type replay struct {
	db   *DB
	done checkpoint
	last uint64
	// pending are rows that wait for the question which of them the engine has.
	pending map[signal.Project]*replayed
	rows    int
	// told are records that the Observer waits for, until their payloads can be read.
	told []*logRecord
	// events and payloads have the streams of rows that the engines had already.
	events, payloads samples
}

func (r *replay) nameStreams(ctx context.Context) error {
	events, err := r.db.events.NameStreams(ctx, r.events)
	if err != nil {
		return err
	}
	payloads, err := r.db.payloads.NameStreams(ctx, r.payloads)
	if n := events + payloads; n > 0 {
		r.db.cfg.Logger.Info("rows were found whose streams had no names on disk: they are named again", "streams", n)
	}
	return err
}

// replayed are the rows of a project on their way to the engine.
type replayed struct {
	tenant           logstorage.TenantID
	events, payloads []encoded
}

// replayRows is how many rows go to the engine at once.
const replayRows = 5000

func (r *replay) segments(segments []segment) error {
	for i, s := range segments {
		data, err := os.ReadFile(s.path)
		if err != nil {
			return err
		}
		newest := i == len(segments)-1
		whole, err := checkSegment(s.path, data)
		if err != nil {
			return err
		}
		if !whole {
			if err := r.headless(s, data, newest); err != nil {
				return err
			}
			continue
		}
		before := s.first - 1
		damaged, err := eachFrame(s.path, data, before, func(n uint64, record []byte) error { return r.record(s.path, n, record) })
		if err != nil {
			return err
		}
		if err := r.mend(damaged, newest); err != nil {
			return err
		}
	}
	return r.flush()
}

// headless deals with a segment without a header: one that a crash kept from coming to be, or a damaged one.
func (r *replay) headless(s segment, data []byte, newest bool) error {
	if newest && len(data) <= segmentHeader {
		r.db.cfg.Logger.Warn("the log's newest segment has no records: a crash came in between", "file", s.path)
		return os.Remove(s.path)
	}
	damaged, err := eachFrame(s.path, data, s.first-1, func(n uint64, record []byte) error { return r.record(s.path, n, record) })
	if err != nil {
		return err
	}
	damaged = append([]damage{{path: s.path, start: 0, end: int64(min(segmentHeader, len(data)))}}, damaged...)
	return r.mend(damaged, false)
}

// mend cuts off what a crash left behind the newest record, and says what else is lost.
func (r *replay) mend(damaged []damage, newest bool) error {
	for _, d := range damaged {
		n := uint64(d.end - d.start)
		if d.tail && newest {
			r.db.replayed.cut.Add(1)
			r.db.replayed.cutBytes.Add(n)
			r.db.cfg.Logger.Warn("the log ends with a record that is not whole, and was cut there: a crash during its write, before it was acknowledged, or a damaged disk",
				"file", d.path, "offset", d.start, "bytes", n)
			if err := truncate(d.path, d.start); err != nil {
				return fmt.Errorf("cut %s at %d: %w", d.path, d.start, err)
			}
			continue
		}
		r.db.replayed.corrupt.Add(1)
		r.db.replayed.corruptBytes.Add(n)
		r.db.cfg.Logger.Error("the log is damaged: the records in this place are lost unless the engine had them already; all others are replayed",
			"file", d.path, "offset", d.start, "bytes", n)
	}
	return nil
}

func truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// record takes one record of the log.
func (r *replay) record(path string, n uint64, data []byte) error {
	r.last = max(r.last, n)
	if n <= r.done.engine && n <= r.done.observed {
		return nil
	}
	rec, err := decodeRecord(data)
	if errors.Is(err, store.ErrNewer) {
		return fmt.Errorf("%s: record %d: %w", path, n, err)
	}
	if err != nil {
		// Its checksum is right: a fault of the release that wrote it, not of the disk.
		r.db.replayed.corrupt.Add(1)
		r.db.cfg.Logger.Error("a record of the log can't be read and is left out", "file", path, "record", n, "error", err)
		return nil
	}
	r.db.replayed.records.Add(1)
	r.db.replayed.bytes.Add(uint64(len(data)))
	if n > r.done.engine {
		if err := r.take(rec); err != nil {
			return err
		}
	}
	if _, ok := r.db.cfg.Observer.(store.StatefulObserver); ok && n > r.done.observed && rec.typ != recordRewrite {
		r.told = append(r.told, rec)
		r.rows += len(rec.events)
	}
	if r.rows >= replayRows {
		return r.flush()
	}
	return nil
}

func (r *replay) take(rec *logRecord) error {
	p := r.pending[rec.project]
	if p == nil {
		tenant, err := r.db.projects.create(rec.project)
		if err != nil {
			return err
		}
		p = &replayed{tenant: tenant}
		r.pending[rec.project] = p
	}
	p.events = append(p.events, rec.events...)
	p.payloads = append(p.payloads, rec.payloads...)
	r.rows += len(rec.events) + len(rec.payloads)
	return nil
}

// flush gives the engine the pending rows it lacks and the Observer the records it lacks.
func (r *replay) flush() error {
	ctx := context.Background()
	for project, p := range r.pending {
		if err := r.restore(ctx, project, p); err != nil {
			return err
		}
	}
	clear(r.pending)
	r.rows = 0
	return r.tell(ctx)
}

func (r *replay) restore(ctx context.Context, project signal.Project, p *replayed) error {
	payloads, err := r.newPayloads(ctx, p)
	if err != nil {
		return fmt.Errorf("look for stored payloads: %w", err)
	}
	events, err := r.newEvents(ctx, project, p)
	if err != nil {
		return fmt.Errorf("look for stored rows: %w", err)
	}
	r.db.replayed.skipped.Add(uint64(len(p.events) - len(events)))
	r.db.replayed.rows.Add(uint64(len(events)))
	if _, err := r.db.payloads.Add(p.tenant, payloads); err != nil {
		return err
	}
	_, err = r.db.events.Add(p.tenant, events)
	return err
}

// newEvents returns the rows that are neither in the engine nor earlier in the log.
func (r *replay) newEvents(ctx context.Context, project signal.Project, p *replayed) ([]encoded, error) {
	accept := r.db.accept().Start
	out := make([]encoded, 0, len(p.events))
	var open []int // of out
	ids := make([]replayID, 0, len(p.events))
	for i := range p.events {
		row := &p.events[i]
		id := idOfEncoded(row)
		if row.time < accept {
			continue // past its retention meanwhile
		}
		if id.id == "" { // an index row
			if r.db.traces.note(traceKey{p.tenant, id.trace}, row.time) {
				out, ids = append(out, *row), append(ids, id)
			}
			continue
		}
		c, _ := r.db.recent.claim(keyOf(project, id.kind, id.id), row.time, id.rev, 0)
		if c.verdict == repeat {
			r.events.add(p.tenant, row)
			continue
		}
		if c.verdict != fresh {
			open = append(open, len(out))
		}
		out, ids = append(out, *row), append(ids, id)
	}
	if len(open) == 0 {
		return out, nil
	}
	known, err := r.stored(ctx, p.tenant, out, ids, open)
	if err != nil {
		return nil, err
	}
	kept := out[:0]
	for i := range out {
		if !known[i] {
			kept = append(kept, out[i])
			continue
		}
		r.events.add(p.tenant, &out[i])
	}
	return kept, nil
}

type replayID struct {
	kind  store.Kind
	id    string
	trace string
	rev   int64
}

func idOfEncoded(row *encoded) (out replayID) {
	for _, f := range row.fields {
		switch f.Name {
		case colKind:
			out.kind = store.Kind(f.Value)
		case colID:
			out.id = idOf(f.Value)
		case store.FieldTraceID:
			out.trace = f.Value
		case store.FieldRevision:
			out.rev, _ = strconv.ParseInt(f.Value, 10, 64)
		}
	}
	return out
}

// stored asks the engine which of the open rows it has: the same row, at the same time, in the same revision.
func (r *replay) stored(ctx context.Context, t logstorage.TenantID, rows []encoded, ids []replayID, open []int) (map[int]bool, error) {
	type copyKey struct {
		id        string
		time, rev int64
	}
	byKind := map[store.Kind][]int{}
	for _, i := range open {
		byKind[ids[i].kind] = append(byKind[ids[i].kind], i)
	}
	out := map[int]bool{}
	for kind, at := range byKind {
		for len(at) > 0 {
			n := min(len(at), idsPerQuery)
			var span signal.TimeRange
			texts := make([]string, n)
			want := make(map[copyKey]int, n)
			for j, i := range at[:n] {
				texts[j] = ids[i].id
				span = span.Include(rows[i].time)
				want[copyKey{ids[i].id, rows[i].time, ids[i].rev}] = i
			}
			query := anyStream(kind) + " " + fieldIn(colID, idColumns(texts))
			err := r.db.eachVersion(ctx, t, query, span, func(v version) {
				if i, ok := want[copyKey{v.id, v.time, v.rev}]; ok {
					out[i] = true
				}
			})
			if err != nil {
				return nil, err
			}
			at = at[n:]
		}
	}
	return out, nil
}

// chunkKey names a payload row.
type chunkKey struct {
	day          int64
	hash, number string
}

// newPayloads returns the payload rows that the engine lacks.
func (r *replay) newPayloads(ctx context.Context, p *replayed) ([]encoded, error) {
	byDay := map[int64][]string{}
	for i := range p.payloads {
		if hash := hashOfColumn(fieldOf(&p.payloads[i], colHash)); hash != "" {
			start := dayOf(p.payloads[i].time)
			byDay[start] = append(byDay[start], hash)
		}
	}
	have := map[chunkKey]bool{}
	for start, hashes := range byDay {
		for len(hashes) > 0 {
			n := min(len(hashes), idsPerQuery)
			query := r.db.hashIn(hashes[:n]) + fieldsPipe([]string{colTime, colHash, colChunk})
			at := signal.TimeRange{Start: start, End: start + int64(day)}
			err := run(ctx, r.db.payloads, p.tenant, query, at, func(b *logstorage.DataBlock) error {
				numbers := texts(b, colChunk)
				for i, hash := range texts(b, colHash) {
					have[chunkKey{start, strings.Clone(hashOfColumn(hash)), strings.Clone(numbers[i])}] = true
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			hashes = hashes[n:]
		}
	}
	sketched, err := r.sketched(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []encoded
	stored := map[payloadKey]struct{}{}
	for i := range p.payloads {
		row := &p.payloads[i]
		hash := hashOfColumn(fieldOf(row, colHash))
		if hash == "" && sketched[fieldOf(row, colGroup)] {
			continue
		}
		k := chunkKey{dayOf(row.time), hash, fieldOf(row, colChunk)}
		if hash != "" && have[k] {
			r.payloads.add(p.tenant, row)
			continue
		}
		have[k] = true
		if hash != "" {
			stored[keyOfPayload(p.tenant, dayOf(row.time), hash)] = struct{}{}
		}
		out = append(out, *row)
	}
	r.db.known.addAll(stored)
	return out, nil
}

// sketched returns the groups whose sketches the engine has.
func (r *replay) sketched(ctx context.Context, p *replayed) (map[string]bool, error) {
	var groups []string
	var at signal.TimeRange
	for i := range p.payloads {
		if row := &p.payloads[i]; fieldOf(row, colHash) == "" {
			groups, at = append(groups, fieldOf(row, colGroup)), at.Include(row.time)
		}
	}
	out := map[string]bool{}
	for groups := range slices.Chunk(groups, idsPerQuery) {
		query := ofKind(kindWords) + " " + fieldIn(colGroup, groups) + fieldsPipe([]string{colGroup})
		err := run(ctx, r.db.payloads, p.tenant, query, at, func(b *logstorage.DataBlock) error {
			for _, g := range texts(b, colGroup) {
				out[strings.Clone(g)] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func fieldOf(row *encoded, name string) string {
	for _, f := range row.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// tell gives the Observer the waiting records as rows, as Write did.
func (r *replay) tell(ctx context.Context) error {
	told := r.told
	r.told = nil
	for _, rec := range told {
		rows, err := r.db.rowsOf(ctx, rec)
		if err != nil {
			return fmt.Errorf("read rows of the log: %w", err)
		}
		if len(rows) > 0 {
			r.db.cfg.Observer.Committed(rec.project, rows)
		}
	}
	return nil
}

// rowsOf turns a record's columns into rows again, with their payloads.
func (db *DB) rowsOf(ctx context.Context, rec *logRecord) ([]store.Row, error) {
	tenant, ok := db.projects.find(rec.project)
	if !ok {
		return nil, nil
	}
	var all []*found
	for i := range rec.events {
		f, err := foundOf(&rec.events[i])
		if err != nil {
			return nil, err
		}
		if f.row.ID != "" {
			all = append(all, f)
		}
	}
	if err := db.join(ctx, tenant, all, nil); err != nil {
		return nil, err
	}
	rows := make([]store.Row, len(all))
	for i, f := range all {
		rows[i] = f.row
	}
	return rows, nil
}

// foundOf decodes a row from its columns, as decodeBlock does for a block of them.
func foundOf(row *encoded) (*found, error) {
	f := &found{row: store.Row{Time: row.time, Fields: make([]store.Field, 0, len(row.fields))}}
	tags := parseTags(fieldOf(row, colTypes))
	for _, c := range row.fields {
		switch {
		case c.Name == colKind:
			f.row.Kind = store.Kind(c.Value)
		case c.Name == colID:
			f.row.ID = idOf(c.Value)
		case c.Name[0] != '_':
			f.add(c.Name, valueOf(tags.typeOf(c.Name, impliedType(c.Name)), c.Value))
		}
	}
	f.addEmpty(tags, nil)
	if text := fieldOf(row, colSpecial); text != "" {
		f.special = true
		if err := f.addSpecials(text, nil); err != nil {
			return nil, fmt.Errorf("row %q: %w: %w", f.row.ID, store.ErrCorrupt, err)
		}
	}
	return f, nil
}
