package redact

import (
	"slices"
	"strings"
)

// digitRules are the kinds of personal data that are numbers. A field is the rule's number, -1 when it is off.
type digitRules struct{ card, phone, passport, snils, inn int }

func (d digitRules) on() bool {
	return d.card >= 0 || d.phone >= 0 || d.passport >= 0 || d.snils >= 0 || d.inn >= 0
}

// maxRun is the longest run of digits and separators that is looked at.
const maxRun = 40

// find looks at each run of digits with single separators between them.
func (d digitRules) find(s string, hits []hit) []hit {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		start := i
		if start > 0 && (word(s[start-1]) || s[start-1] == '.' && start > 1 && digit(s[start-2])) {
			for i < len(s) && (word(s[i]) || s[i] == '.') {
				i++
			}
			continue
		}
		if !enough(s[start:min(len(s), start+maxRun)]) {
			for i+1 < len(s) && digit(s[i+1]) {
				i++
			}
			continue
		}
		r := run{text: s, start: start}
		r.read()
		if h, ok := d.classify(&r); ok {
			hits = append(hits, h)
			i = h.end - 1
			continue
		}
		// Only the first number of the run is done with: the next may begin a run of its own.
		for i+1 < len(s) && digit(s[i+1]) {
			i++
		}
	}
	return hits
}

// enough tells whether a run begins with the ten digits that the shortest of the numbers has.
func enough(s string) bool {
	n, gap := 0, 0
	for i := 0; i < len(s); i++ {
		switch {
		case digit(s[i]):
			if n++; n >= 10 {
				return true
			}
			gap = 0
		case s[i] == ' ' || s[i] == '-' || s[i] == '(' || s[i] == ')':
			if gap++; gap > 2 {
				return false
			}
		default:
			return false
		}
	}
	return false
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// run is a number with its separators.
type run struct {
	text       string
	start, end int
	digits     [maxRun]byte
	n          int
	// ends[k] is the index behind the k-th digit.
	ends [maxRun]int
	// shape is the run with each digit written as 0.
	shape [maxRun]byte
	len   int
}

func (r *run) read() {
	i := r.start
	for i < len(r.text) && r.len < maxRun {
		c := r.text[i]
		switch {
		case digit(c):
			r.digits[r.n] = c - '0'
			r.n++
			r.ends[r.n-1] = i + 1
			r.shape[r.len] = '0'
			r.len++
			r.end = i + 1
		case (c == ' ' || c == '-' || c == '(' || c == ')') && i+1 < len(r.text) && r.len > 0 && (digit(r.text[i+1]) || c == ')' || c == ' ' && r.text[i+1] == '('):
			r.shape[r.len] = c
			r.len++
		default:
			return
		}
		i++
	}
}

// joined tells whether a letter or digit follows right behind index end.
func (r *run) joined(end int) bool { return end < len(r.text) && word(r.text[end]) }

func (d digitRules) classify(r *run) (hit, bool) {
	plus := r.start > 0 && r.text[r.start-1] == '+'
	if d.card >= 0 && !plus {
		if end, ok := r.card(); ok {
			return hit{r.start, end, d.card}, true
		}
	}
	if d.snils >= 0 && r.n >= 11 && r.snils() {
		return hit{r.start, r.ends[10], d.snils}, true
	}
	if d.inn >= 0 {
		if end, ok := r.inn(); ok {
			return hit{r.start, end, d.inn}, true
		}
	}
	if d.passport >= 0 && r.n >= 10 && !r.joined(r.ends[9]) && r.behind("паспорт", "passport") {
		return hit{r.start, r.ends[9], d.passport}, true
	}
	if d.phone >= 0 {
		if end, ok := r.phone(plus); ok {
			start := r.start
			if plus {
				start--
			}
			return hit{start, end, d.phone}, true
		}
	}
	return hit{}, false
}

// card finds 13 to 19 digits of a known range with a right check digit. Separators are spaces or dashes.
func (r *run) card() (int, bool) {
	if first := r.digits[0]; first < 2 || first > 6 {
		return 0, false
	}
	for n := min(r.n, 19); n >= 13; n-- {
		end := r.ends[n-1]
		if n < r.n && end == r.ends[n]-1 || r.joined(end) || strings.ContainsAny(r.text[r.start:end], "()") {
			continue
		}
		if luhn(r.digits[:n]) {
			return end, true
		}
	}
	return 0, false
}

func luhn(digits []byte) bool {
	sum, double := 0, false
	for _, digit := range slices.Backward(digits) {
		v := int(digit)
		if double {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum, double = sum+v, !double
	}
	return sum > 0 && sum%10 == 0
}

// snils finds 11 digits with a right check sum, written 000-000-000 00 or behind the number's name.
func (r *run) snils() bool {
	if r.joined(r.ends[10]) || r.n > 11 && r.ends[11] == r.ends[10]+1 {
		return false
	}
	shape := string(r.shape[:min(r.len, 14)])
	if !strings.HasPrefix(shape, "000-000-000 00") && !strings.HasPrefix(shape, "000-000-000-00") && !r.behind("снилс", "snils") {
		return false
	}
	sum := 0
	for i := range 9 {
		sum += int(r.digits[i]) * (9 - i)
	}
	return sum%101%100 == int(r.digits[9])*10+int(r.digits[10])
}

// inn finds 10 or 12 digits with right check digits behind the number's name.
func (r *run) inn() (int, bool) {
	for _, n := range []int{12, 10} {
		if r.n < n || r.ends[n-1] != r.start+n || r.joined(r.ends[n-1]) || !r.behind("инн", "inn") {
			continue
		}
		ok := n == 10 && r.check(9, 2, 4, 10, 3, 5, 9, 4, 6, 8) ||
			n == 12 && r.check(10, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8) && r.check(11, 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
		if ok {
			return r.ends[n-1], true
		}
	}
	return 0, false
}

func (r *run) check(at int, weights ...int) bool {
	sum := 0
	for i, w := range weights {
		sum += int(r.digits[i]) * w
	}
	return sum%11%10 == int(r.digits[at])
}

// phone finds an international number behind a plus, and Russian numbers as people write them.
func (r *run) phone(plus bool) (int, bool) {
	if plus {
		n := min(r.n, 15)
		for n > 10 && n < r.n && r.ends[n] == r.ends[n-1]+1 {
			n--
		}
		return r.ends[max(n-1, 0)], n >= 10 && !r.joined(r.ends[n-1])
	}
	if r.n != 11 || r.joined(r.end) {
		return 0, false
	}
	if first := r.digits[0]; first != 7 && first != 8 {
		return 0, false
	}
	separated := r.len > r.n
	return r.end, separated && strings.ContainsAny(string(r.shape[:r.len]), "(-") || r.digits[1] == 9
}

// behind tells whether one of the words stands at most 40 bytes in front of the run. Words are in lower case.
func (r *run) behind(words ...string) bool {
	before := strings.ToLower(r.text[max(0, r.start-40):r.start])
	for _, w := range words {
		if strings.Contains(before, w) {
			return true
		}
	}
	return false
}
