package spanmetrics

// recent is a set that forgets: it remembers at least the last limit keys, at most twice as many.
type recent struct {
	limit    int
	old, now map[string]struct{}
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, old: map[string]struct{}{}, now: map[string]struct{}{}}
}

func (r *recent) add(trace, id string) { r.addKey(trace + id) }

func (r *recent) has(trace, id string) bool {
	if len(r.now) == 0 && len(r.old) == 0 {
		return false
	}
	var key [64]byte
	k := append(append(key[:0], trace...), id...)
	if _, ok := r.now[string(k)]; ok {
		return true
	}
	_, ok := r.old[string(k)]
	return ok
}

func (r *recent) hasKey(key string) bool {
	if _, ok := r.now[key]; ok {
		return true
	}
	_, ok := r.old[key]
	return ok
}

func (r *recent) addKey(key string) {
	if len(r.now) >= r.limit {
		r.old, r.now = r.now, make(map[string]struct{}, r.limit/4)
	}
	r.now[key] = struct{}{}
}
