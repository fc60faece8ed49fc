package llmhttp

import (
	"context"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// maxAttempts bounds the failed calls that are remembered.
const maxAttempts = 1024

// attempts counts how often a call was sent. Clients that don't say it in a header are found out by sending the same
// bytes again from the same span after a failure.
type attempts struct {
	mu     sync.Mutex
	failed map[attempt]int
}

// attempt is a call that may be sent again.
type attempt struct {
	span trace.SpanID
	hash uint64
}

var seed = maphash.MakeSeed()

func attemptOf(ctx context.Context, req *http.Request, body []byte) (attempt, bool) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() || len(body) == 0 {
		return attempt{}, false
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(req.URL.String()) // a hash takes everything
	_, _ = h.Write(body)
	return attempt{sc.SpanID(), h.Sum64()}, true
}

// before returns how often the request was sent before.
func (a *attempts) before(req *http.Request, key attempt) int {
	if n, err := strconv.Atoi(req.Header.Get("X-Stainless-Retry-Count")); err == nil {
		return n
	}
	for field := range strings.SplitSeq(req.Header.Get("Amz-Sdk-Request"), ";") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(field), "attempt="); ok {
			if n, err := strconv.Atoi(text); err == nil {
				return n - 1
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[key]
}

// ended remembers a failure, after which the call may come again.
func (a *attempts) ended(key attempt, failed bool) {
	if key == (attempt{}) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !failed {
		delete(a.failed, key)
		return
	}
	if a.failed == nil || len(a.failed) >= maxAttempts {
		a.failed = map[attempt]int{}
	}
	a.failed[key]++
}
