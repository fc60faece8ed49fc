package otlp

import "sync"

// limits bounds what is in flight over both transports: requests, and the bytes of their messages.
type limits struct {
	maxRequests, maxBytes int64

	mu              sync.Mutex
	requests, bytes int64
}

// lease is one request's share of the limits. It belongs to one goroutine.
type lease struct {
	limits *limits
	bytes  int64
}

// begin takes a request's place.
func (l *limits) begin() (*lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requests >= l.maxRequests {
		return nil, overloaded("many requests")
	}
	l.requests++
	return &lease{limits: l}, nil
}

// inFlight returns the current requests and bytes.
func (l *limits) inFlight() (requests, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests, l.bytes
}

// grow takes n more bytes.
func (s *lease) grow(n int64) error {
	l := s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes+n > l.maxBytes {
		return overloaded("many bytes")
	}
	l.bytes += n
	s.bytes += n
	return nil
}

// end gives everything back.
func (s *lease) end() {
	l := s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests--
	l.bytes -= s.bytes
	s.bytes = 0
}
