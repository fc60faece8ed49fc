package mindbus

// recent remembers the last n texts that were added, with a word for each.
type recent struct {
	words map[string]string
	ring  []string
	next  int
	max   int
}

func newRecent(n int) *recent { return &recent{words: map[string]string{}, max: n} }

// add remembers a text, and tells whether it was new.
func (r *recent) add(text, word string) bool {
	if _, known := r.words[text]; known {
		r.words[text] = word
		return false
	}
	if len(r.ring) < r.max {
		r.ring = append(r.ring, text)
	} else {
		delete(r.words, r.ring[r.next])
		r.ring[r.next] = text
		r.next = (r.next + 1) % r.max
	}
	r.words[text] = word
	return true
}
