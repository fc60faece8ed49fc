package policy

import (
	"encoding/hex"

	"github.com/mindscope/mindscope/internal/signal"
)

// Span names a span by its ids in hexadecimal digits, as stored rows do.
type Span struct{ Trace, ID string }

// Forget drops what is held of spans: they were deleted, and a failure of their task must not bring their content back.
func (s *Sink) Forget(p signal.Project, spans []Span) {
	if s.open || len(spans) == 0 {
		return
	}
	keys := make(map[spanKey]bool, len(spans))
	for _, one := range spans {
		var k spanKey
		if decodeID(k.trace[:], one.Trace) && decodeID(k.span[:], one.ID) {
			keys[k] = true
		}
	}
	s.held.forget(p, keys)
}

func decodeID(dst []byte, text string) bool {
	if len(text) != 2*len(dst) {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}

func (h *holder) forget(p signal.Project, keys map[spanKey]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e := h.order.Front(); e != nil; e = e.Next() {
		t := e.Value.(*heldTask)
		if t.key.project != p {
			continue
		}
		for key, one := range t.entries {
			if keys[key] {
				h.account(t, -1, -one.bytes-entryBytes)
				h.deleted.Add(1)
				delete(t.entries, key)
			}
		}
	}
}
