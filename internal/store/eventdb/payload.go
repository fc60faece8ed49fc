package eventdb

import (
	"encoding/hex"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/store"
)

const (
	// chunkLen is the largest part of a payload in one row of the engine.
	chunkLen = 1 << 20
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

// add notes a payload and tells whether it was missing.
func (k *knownPayloads) add(key payloadKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.young[key]; ok {
		return false
	}
	_, ok := k.old[key]
	if len(k.young) >= maxKnown {
		k.old, k.young = k.young, make(map[payloadKey]struct{}, maxKnown)
	}
	k.young[key] = struct{}{}
	return !ok
}

func (k *knownPayloads) forget(key payloadKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young, key)
	delete(k.old, key)
}

// addPayloads puts the payloads of a row that are not stored yet into the batch. Those of a day beyond the payloads'
// retention are gone already: their span is kept, and they are counted.
func (db *DB) addPayloads(b *batch, row encoded) {
	start := dayOf(row.time)
	for _, p := range row.payloads {
		if start < db.keeper.payloadsFrom.Load() || start+int64(day) <= db.cfg.Clock().Add(-db.cfg.PayloadRetention).UnixNano() {
			db.counts.payloadsExpired.Add(1)
			continue
		}
		db.doomed.use(keyOfPayload(b.tenant, start, p.ref.hash))
		if !db.known.add(keyOfPayload(b.tenant, start, p.ref.hash)) {
			db.counts.payloadsKnown.Add(1)
			continue
		}
		db.counts.payloadsNew.Add(1)
		for i := range p.ref.chunks {
			b.payloads = append(b.payloads, payloadRow(start, p, i))
		}
	}
}

func payloadRow(start int64, p payload, i int) encoded {
	row := encoded{time: start, streams: 1}
	row.add(colKind, string(store.KindPayload))
	row.add(colHash, p.ref.hash)
	row.add(colChunk, strconv.Itoa(i))
	row.add(colBody, chunk(p.body, i, p.ref.chunks))
	if !utf8.ValidString(p.body) {
		row.add(colInvalid, "1")
	}
	return row
}
