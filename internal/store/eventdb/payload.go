package eventdb

import (
	"encoding/hex"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// chunkLen is the largest part of a payload in one row of the engine, before what is put in place of secrets.
	chunkLen = 384 << 10
	// payloadGrain is how exact the times of payloads are.
	payloadGrain = int64(time.Second)
	// maxKnown bounds a generation of the cache of stored payloads, about 60 bytes each.
	maxKnown = 100_000
)

// chunksOf returns into how many rows a payload of n bytes goes.
func chunksOf(n int) int { return max(1, (n+chunkLen-1)/chunkLen) }

// chunk returns part i of n of body. Parts are of nearly equal length, so that none is short enough to look like a
// number to the engine.
func chunk(body string, i, n int) string {
	return body[len(body)*i/n : len(body)*(i+1)/n]
}

// dayOf returns the beginning of the day, of the engine's partition, that a time lies in.
func dayOf(at int64) int64 { return at - at%int64(day) }

// wholeDays extends a range to the days it touches.
func wholeDays(at signal.TimeRange) signal.TimeRange {
	at.Start = dayOf(at.Start)
	if last := dayOf(at.End - 1); last < math.MaxInt64-int64(day) {
		at.End = last + int64(day)
	}
	return at
}

// payloadKey names a payload as it is stored: once per project and day.
type payloadKey struct {
	tenant logstorage.TenantID
	day    int64
	hash   [16]byte
}

func keyOfPayload(t logstorage.TenantID, day int64, hash string) payloadKey {
	k := payloadKey{tenant: t, day: day}
	_, _ = hex.Decode(k.hash[:], []byte(hash)) // ours: always 32 digits
	return k
}

// knownPayloads is the bounded set of payloads that were stored lately. A payload that dropped out of it is stored once
// more, and readers see one.
type knownPayloads struct {
	mu         sync.Mutex
	young, old map[payloadKey]struct{}
}

func newKnownPayloads() *knownPayloads {
	return &knownPayloads{young: map[payloadKey]struct{}{}, old: map[payloadKey]struct{}{}}
}

// has tells whether a payload is known to be stored.
func (k *knownPayloads) has(key payloadKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.young[key]; ok {
		return true
	}
	if _, ok := k.old[key]; !ok {
		return false
	}
	k.add(key) // what is in use stays
	return true
}

// addAll notes payloads that are stored: not before, so that no other batch relies on one that fails.
func (k *knownPayloads) addAll(keys map[payloadKey]struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range keys {
		k.add(key)
	}
}

func (k *knownPayloads) add(key payloadKey) {
	if len(k.young) >= maxKnown {
		k.old, k.young = k.young, make(map[payloadKey]struct{}, maxKnown)
	}
	k.young[key] = struct{}{}
}

func (k *knownPayloads) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.young) + len(k.old)
}

func (k *knownPayloads) forget(key payloadKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young, key)
	delete(k.old, key)
}

// addPayloads puts the payloads of a row that are not stored yet into the batch. Those of a day beyond the payloads'
// retention are gone already: their span is kept, and they are counted.
func (db *DB) addPayloads(b *batch, row encoded, columns *pieces) {
	start := dayOf(row.time)
	for _, p := range row.payloads {
		if db.payloadsGone(start) {
			db.counts.payloadsExpired.Add(1)
			continue
		}
		key := payloadKey{b.tenant, start, p.hash}
		db.doomed.use(key)
		if _, ok := b.stored[key]; ok || db.known.has(key) {
			db.counts.payloadsKnown.Add(1)
			continue
		}
		db.counts.payloadsNew.Add(1)
		if b.stored == nil {
			b.stored = map[payloadKey]struct{}{}
		}
		b.stored[key] = struct{}{}
		if db.cfg.Redact != nil && !p.ours {
			p.body, _ = db.cfg.Redact(p.body)
		}
		group := noGroup
		if p.ref.chunks == 1 {
			g := db.groupOf(b, start)
			g.add(p.body)
			group = g.number
		}
		for i := range p.ref.chunks {
			b.payloads = append(b.payloads, payloadRow(columns, row.time, p, i, group))
		}
	}
}

// payloadsGone tells whether no payloads of a day are kept any more.
func (db *DB) payloadsGone(start int64) bool {
	return start < db.keeper.payloadsFrom.Load() || start+int64(day) <= db.payloadsSince()
}

// payloadsSince returns the time whose day is the oldest that has payloads.
func (db *DB) payloadsSince() int64 { return db.cfg.Clock().Add(-db.cfg.PayloadRetention).UnixNano() }

// PayloadCache are figures of the payloads that writers met since Open.
type PayloadCache struct {
	// Known is how many payloads the store remembers to have stored.
	Known int
	// Hits counts references to payloads that were known, Misses payloads that were stored, maybe once more.
	Hits, Misses uint64
}

// PayloadCache returns figures of the cache of known payloads.
func (db *DB) PayloadCache() PayloadCache {
	return PayloadCache{Known: db.known.len(), Hits: db.counts.payloadsKnown.Load(), Misses: db.counts.payloadsNew.Load()}
}

// payloadRow is part i of a payload. Its time is the second of the row that brought it: who reads that row, or others about
// then, finds it without a look at the whole day.
func payloadRow(columns *pieces, at int64, p payload, i int, group string) encoded {
	row := encoded{time: at - at%payloadGrain, streams: 1, fields: columns.room(6)}
	row.add(colKind, string(store.KindPayload))
	row.add(colHash, hashColumn(p.ref.hash))
	row.add(colChunk, strconv.Itoa(i))
	row.add(colBody, chunk(p.body, i, p.ref.chunks))
	row.add(colGroup, group)
	if !utf8.ValidString(p.body) {
		row.add(colInvalid, "1")
	}
	return row
}
