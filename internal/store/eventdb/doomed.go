package eventdb

import (
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// doomedPayloads are the payloads that a running Delete may remove. A writer that uses one of them meanwhile saves it;
// when its removal has begun, the writer waits for the end and stores it anew.
type doomedPayloads struct {
	known  *knownPayloads
	active atomic.Bool // so that writers look no further when nothing is deleted

	mu      sync.Mutex
	saved   map[payloadKey]bool // false: may be removed
	sealed  map[payloadKey]struct{}
	cleared chan struct{} // closed when the sealed ones are gone
}

func newDoomedPayloads(known *knownPayloads) *doomedPayloads { return &doomedPayloads{known: known} }

// mark begins a Delete. No writer is under way.
func (d *doomedPayloads) mark(t logstorage.TenantID, days map[int64][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved, d.sealed, d.cleared = map[payloadKey]bool{}, map[payloadKey]struct{}{}, make(chan struct{})
	for day, hashes := range days {
		for _, h := range hashes {
			d.saved[keyOfPayload(t, day, h)] = false
		}
	}
	d.active.Store(len(d.saved) > 0)
}

// use tells that a writer refers to a payload.
func (d *doomedPayloads) use(key payloadKey) {
	if !d.active.Load() {
		return
	}
	d.mu.Lock()
	_, sealed := d.sealed[key]
	if _, ok := d.saved[key]; ok && !sealed {
		d.saved[key] = true
	}
	cleared := d.cleared
	d.mu.Unlock()
	if sealed {
		<-cleared
	}
}

// seal returns those of a day's hashes that nobody used since mark. They are stored no more.
func (d *doomedPayloads) seal(t logstorage.TenantID, day int64, hashes []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var gone []string
	for _, h := range hashes {
		key := keyOfPayload(t, day, h)
		if d.saved[key] {
			continue
		}
		gone = append(gone, h)
		d.sealed[key] = struct{}{}
		d.known.forget(key)
	}
	return gone
}

// clear ends a Delete.
func (d *doomedPayloads) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active.Store(false)
	d.saved, d.sealed = nil, nil
	close(d.cleared)
}
