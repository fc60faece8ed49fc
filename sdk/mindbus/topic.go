package mindbus

import "strings"

// topicMatch reports whether a binding's pattern matches a routing key, as AMQP's topic exchange does.
func topicMatch(pattern, key string) bool {
	return matchWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

// matchWords remembers the last # and returns to it on a mismatch, so that no pattern takes more than
// len(pattern)×len(key) steps.
func matchWords(pattern, key []string) bool {
	p, k := 0, 0
	hash, resume := -1, 0
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == "#":
			hash, resume = p, k
			p++
		case p < len(pattern) && (pattern[p] == "*" || pattern[p] == key[k]):
			p++
			k++
		case hash >= 0:
			resume++
			p, k = hash+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "#" {
		p++
	}
	return p == len(pattern)
}

// keyWord makes one word of a routing key of any text: what parts words or is a wildcard is percent-encoded.
func keyWord(s string) string {
	if !strings.ContainsAny(s, "%.*#") {
		return s
	}
	return strings.NewReplacer("%", "%25", ".", "%2E", "*", "%2A", "#", "%23").Replace(s)
}
