package eventdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// joinBytes bounds the payload texts that are fetched at once.
	joinBytes = 16 << 20
	// maxUsers bounds how many payloads a text search hands on by hash; with more, every row with payloads is looked at.
	maxUsers = 20_000
)

// stored names a payload of a project: readers look for it on its row's day.
type stored struct {
	day  int64
	hash string
}

// join fills in the payloads of rows. want limits it to some fields; nil means all. After store.ErrPartial the rows
// are filled but for what did not answer.
func (db *DB) join(ctx context.Context, t logstorage.TenantID, rows []*found, want map[string]bool) error {
	var partial error
	for len(rows) > 0 {
		n, bytes := 0, 0
		need := map[stored]ref{}
		var near signal.TimeRange
		for n < len(rows) && (n == 0 || bytes < joinBytes) {
			bytes += rows[n].needs(need, want)
			near = near.Include(rows[n].row.Time - payloadGrain).Include(rows[n].row.Time)
			n++
		}
		if len(need) > 0 {
			bodies, err := db.bodies(ctx, t, need, near)
			if errors.Is(err, store.ErrPartial) {
				partial, err = err, nil
			}
			if err != nil {
				return err
			}
			again := rows[:0:0]
			for _, r := range rows[:n] {
				more, err := r.fill(bodies, want)
				if err != nil {
					return err
				}
				if more {
					again = append(again, r)
				}
			}
			// A row whose special values were a payload themselves has its own references only now.
			err = db.join(ctx, t, again, want)
			if errors.Is(err, store.ErrPartial) {
				partial, err = err, nil
			}
			if err != nil {
				return err
			}
		}
		rows = rows[n:]
	}
	return partial
}

// needs adds the payloads the row waits for and returns their bytes.
func (f *found) needs(need map[stored]ref, want map[string]bool) int {
	bytes := 0
	for _, p := range f.refs {
		if p.all || want == nil || want[f.row.Fields[p.field].Name] {
			for _, part := range p.parts {
				if part.ref.hash != "" {
					need[stored{dayOf(f.row.Time), part.ref.hash}] = part.ref
				}
			}
			bytes += p.length
		}
	}
	return bytes
}

// fill puts payloads into the fields that wait for them. It returns true when the row waits for more now.
func (f *found) fill(bodies map[stored]string, want map[string]bool) (more bool, err error) {
	refs := f.refs
	f.refs = nil
	var expired []string
	bodyOf := func(hash string) (string, bool) {
		body, ok := bodies[stored{dayOf(f.row.Time), hash}]
		return body, ok
	}
	for _, p := range refs {
		if !p.all && want != nil && !want[f.row.Fields[p.field].Name] {
			f.refs = append(f.refs, p)
			continue
		}
		body, ok := rejoin(p.parts, p.length, bodyOf)
		switch {
		case !ok && p.all:
			expired = append(expired, "*")
		case !ok:
			expired = append(expired, f.row.Fields[p.field].Name)
		case p.all:
			if err := f.addSpecials(body, want); err != nil {
				return false, fmt.Errorf("read row %q: %w: %w", f.row.ID, store.ErrCorrupt, err)
			}
			more = len(f.refs) > 0
		default:
			v, err := exactValue(p.typ, body)
			if err != nil {
				return false, fmt.Errorf("read row %q: %w: %w", f.row.ID, store.ErrCorrupt, err)
			}
			f.row.Fields[p.field].Value = v
		}
	}
	if len(expired) > 0 {
		f.expire(expired)
	}
	return more, nil
}

// expire removes the fields whose payload is gone and names them in a field of their own.
func (f *found) expire(names []string) {
	f.row.Fields = slices.DeleteFunc(f.row.Fields, func(x store.Field) bool {
		return slices.Contains(names, x.Name) && x.Value == store.Value{}
	})
	f.row.Add(store.FieldPayloadsExpired, store.String(strings.Join(names, ",")))
	f.refs = nil
}

// nearLen is how long the time of a question may be for its payloads to be looked for in that time first.
const nearLen = int64(time.Hour)

// bodies fetches payloads. Most of them lie near the rows that refer to them; the others anywhere in their day. Those that
// do not exist, because they are past their retention, are missing in the result.
func (db *DB) bodies(ctx context.Context, t logstorage.TenantID, need map[stored]ref, near signal.TimeRange) (map[stored]string, error) {
	out := make(map[stored]string, len(need))
	missing, epoch := db.cached.take(t, db.payloadsSince(), need, out)
	if len(missing) == 0 {
		return out, nil
	}
	defer func() { db.cached.add(t, out, missing, epoch) }()
	later := missing
	if !near.Empty() && near.End-near.Start <= nearLen {
		err := db.fetchBodies(ctx, t, missing, near, out)
		if len(out) == len(need) || err != nil && !errors.Is(err, store.ErrPartial) {
			return out, err
		}
		later = without(missing, out) // what answers is asked for the rest, and what does not says so again
	}
	if err := db.fetchBodies(ctx, t, later, signal.AllTime(), out); err != nil || len(out) == len(need) {
		return out, err
	}
	// A payload and its row become visible on their own within the second after Write; what is past its retention does not.
	later = without(later, out)
	maps.DeleteFunc(later, func(k stored, _ ref) bool { return db.payloadsGone(k.day) })
	if len(later) == 0 {
		return out, nil
	}
	db.payloads.DebugFlush()
	return out, db.fetchBodies(ctx, t, later, signal.AllTime(), out)
}

// without returns the payloads of need that are not in found.
func without(need map[stored]ref, found map[stored]string) map[stored]ref {
	out := map[stored]ref{}
	for k, r := range need {
		if _, ok := found[k]; !ok {
			out[k] = r
		}
	}
	return out
}

// fetchBodies looks for payloads that were stored within a time.
func (db *DB) fetchBodies(ctx context.Context, t logstorage.TenantID, need map[stored]ref, within signal.TimeRange, out map[stored]string) error {
	var partial error
	days := map[int64][]string{}
	for k := range need {
		days[k.day] = append(days[k.day], k.hash)
	}
	for start, hashes := range days {
		slices.Sort(hashes)
		for hashes := range slices.Chunk(hashes, idsPerQuery) {
			at := signal.TimeRange{Start: max(start, within.Start), End: min(start+int64(day), within.End)}
			chunks, err := db.fetchChunks(ctx, t, hashes, at)
			if errors.Is(err, store.ErrPartial) {
				partial, err = err, nil
			}
			if err != nil {
				return err
			}
			for hash, parts := range chunks {
				k := stored{start, hash}
				if body, ok := assemble(parts, need[k]); ok {
					out[k] = body
				}
			}
		}
	}
	return partial
}

// copyKey tells apart the copies of a payload: one that was stored again after other settings of redaction is cut into parts at
// other places.
type copyKey struct {
	hash string
	at   int64
}

// fetchChunks returns the parts of payloads by hash and number, of one copy each: of the one with most parts, which is whole unless
// a part of the store does not answer.
func (db *DB) fetchChunks(ctx context.Context, t logstorage.TenantID, hashes []string, at signal.TimeRange) (map[string]map[int]string, error) {
	copies := map[copyKey]map[int]string{}
	query := db.hashIn(hashes) + fieldsPipe([]string{colTime, colHash, colChunk, colBody})
	err := run(ctx, db.payloads, t, query, at, func(b *logstorage.DataBlock) error {
		times, ok := b.GetTimestamps(nil)
		if !ok {
			return errors.New("BUG: payloads without time")
		}
		hashes, numbers, bodies := texts(b, colHash), texts(b, colChunk), texts(b, colBody)
		for i, hash := range hashes {
			k := copyKey{hashOfColumn(hash), times[i]}
			n, err := strconv.Atoi(numbers[i])
			if err != nil {
				return fmt.Errorf("read payload %s: %w: chunk %q", k.hash, store.ErrCorrupt, numbers[i])
			}
			parts := copies[k]
			if parts == nil {
				parts = map[int]string{}
				copies[copyKey{strings.Clone(k.hash), k.at}] = parts
			}
			if _, ok := parts[n]; !ok {
				parts[n] = strings.Clone(bodies[i])
			}
		}
		return nil
	})
	out := map[string]map[int]string{}
	newest := map[string]int64{}
	for k, parts := range copies {
		if n := len(out[k.hash]); len(parts) > n || len(parts) == n && k.at > newest[k.hash] {
			out[k.hash], newest[k.hash] = parts, k.at
		}
	}
	return out, err
}

// assemble joins the parts of a payload; it returns false when one is missing. A redacted payload has another length
// than its reference says.
func assemble(parts map[int]string, r ref) (string, bool) {
	if r.chunks == 1 {
		body, ok := parts[0]
		return body, ok
	}
	var b strings.Builder
	b.Grow(r.length)
	for i := range r.chunks {
		part, ok := parts[i]
		if !ok {
			return "", false
		}
		b.WriteString(part)
	}
	return b.String(), true
}

// payloadUsers returns the condition for rows that refer to a payload with the words in it. Payloads of several chunks
// are let through, since words may stand across two of them, and so are those that are no valid text.
func (db *DB) payloadUsers(ctx context.Context, pl *plan, t store.Text) (string, error) {
	at, ok := clip(pl.at)
	if !ok {
		return nothing, nil
	}
	if straddles(t.Words) {
		return fieldHas(colSpecial), nil
	}
	at = wholeDays(at) // a payload may have come with another row of the day
	hashes := map[string]struct{}{}
	bodies, err := db.bodiesWith(ctx, pl.tenant, at, t)
	if err != nil {
		return "", err
	}
	query := ofKind(store.KindPayload) + " (" + bodies + " or " + fieldIs(colChunk, "1") + " or " + fieldHas(colInvalid) + ")" + fieldsPipe([]string{colHash})
	err = run(ctx, db.payloads, pl.tenant, query, at, func(b *logstorage.DataBlock) error {
		for _, h := range texts(b, colHash) {
			h = hashOfColumn(h)
			if _, ok := hashes[h]; !ok {
				hashes[strings.Clone(h)] = struct{}{}
			}
		}
		if len(hashes) > maxUsers {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return fieldHas(colSpecial), nil
	}
	if err != nil {
		return "", err
	}
	users := specialNamed(colInvalid)
	if len(hashes) == 0 {
		return users, nil
	}
	var b strings.Builder
	b.WriteString(users + " or " + quote(colSpecial) + ":contains_any(")
	first := true
	for h := range hashes {
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(quote(h))
	}
	b.WriteByte(')')
	return b.String(), nil
}

// Payload implements store.Reader.
func (db *DB) Payload(ctx context.Context, p signal.Project, hash string) (store.Payload, error) {
	none := fmt.Errorf("payload %s: %w", hash, store.ErrNotFound)
	if err := db.enter(); err != nil {
		return store.Payload{}, err
	}
	defer db.leave()
	t, ok := db.projects.find(p)
	if !ok || hash == "" {
		return store.Payload{}, none
	}
	parts, err := db.fetchChunks(ctx, t, []string{hash}, signal.AllTime())
	if err == nil && len(parts[hash]) == 0 {
		db.payloads.DebugFlush()
		parts, err = db.fetchChunks(ctx, t, []string{hash}, signal.AllTime())
	}
	if err != nil {
		return store.Payload{}, err
	}
	body, ok := wholeBody(parts[hash])
	if !ok {
		return store.Payload{}, none
	}
	return store.Payload{Hash: hash, MediaType: store.MediaTypeOf(body), Body: body}, nil
}

// wholeBody joins all parts there are.
func wholeBody(parts map[int]string) (string, bool) {
	if len(parts) == 0 {
		return "", false
	}
	return assemble(parts, ref{chunks: len(parts)})
}
