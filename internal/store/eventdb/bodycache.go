package eventdb

import (
	"sync"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

const (
	// bodyCacheBytes bounds a generation of the cache of payloads that were read; there are two.
	bodyCacheBytes = 4 << 20
	// maxCachedBody is the longest text that is kept: instructions and definitions of tools, which many spans share.
	maxCachedBody = 64 << 10
)

// bodyCache keeps texts of payloads that were read lately. A conversation's system prompt lies with the first one of the
// day, far from the rest of it: the engine unpacks megabytes for it each time.
type bodyCache struct {
	mu         sync.Mutex
	young, old map[payloadKey]string
	bytes      int // of young
	// epoch counts removals of payloads: what was read before one is not kept after it.
	epoch int
}

func newBodyCache() *bodyCache {
	return &bodyCache{young: map[payloadKey]string{}, old: map[payloadKey]string{}}
}

// take moves the wanted payloads that are known to out, and returns the others. Those of days that ended by since are past
// their retention: storage nodes remove days without telling.
func (c *bodyCache) take(t logstorage.TenantID, since int64, need map[stored]ref, out map[stored]string) (missing map[stored]ref, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing = make(map[stored]ref, len(need))
	for k, r := range need {
		if k.day+int64(day) <= since {
			missing[k] = r
			continue
		}
		key := keyOfPayload(t, k.day, k.hash)
		body, ok := c.young[key]
		if !ok {
			if body, ok = c.old[key]; ok {
				c.put(key, body) // what is in use stays
			}
		}
		if !ok {
			missing[k] = r
			continue
		}
		out[k] = body
	}
	return missing, c.epoch
}

// add keeps payloads that were read since epoch.
func (c *bodyCache) add(t logstorage.TenantID, bodies map[stored]string, of map[stored]ref, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	for k := range of {
		if body, ok := bodies[k]; ok && len(body) <= maxCachedBody {
			c.put(keyOfPayload(t, k.day, k.hash), body)
		}
	}
}

func (c *bodyCache) put(key payloadKey, body string) {
	if c.bytes > bodyCacheBytes {
		c.old, c.young, c.bytes = c.young, make(map[payloadKey]string, len(c.young)), 0
	}
	if _, ok := c.young[key]; !ok {
		c.young[key] = body
		c.bytes += len(body) + 100
	}
}

// forget drops everything: some payloads are about to be removed, or were.
func (c *bodyCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.young)
	clear(c.old)
	c.bytes = 0
	c.epoch++
}
