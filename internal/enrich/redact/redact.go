// Package redact removes what must not be stored: credentials of well-known formats, and, when switched on, personal data.
// It is the last Sink before the store, so that it sees the columns of the other steps too; every string of every signal
// goes through it: names, attributes at any depth, events, links, bodies, status messages, resources and scopes.
//
// Redactor.Text is a pure function of a text, for what does not come as pdata (messages that the store splits off).
// JSON stays valid, since what is put in place of a secret needs no escapes and a bare number becomes a string.
package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// Mode says what is put in place of a secret.
type Mode string

// The modes. The zero Mode is ModeMask.
const (
	// ModeMask names the rule: "[redacted email]".
	ModeMask Mode = "mask"
	// ModeDrop leaves nothing.
	ModeDrop Mode = "drop"
	// ModeHMAC puts a keyed hash: equal secrets stay equal, and nobody without the key can try guesses.
	ModeHMAC Mode = "hmac"
)

// minKey is the shortest key for ModeHMAC in bytes.
const minKey = 16

// Groups of personal data that can be switched on.
const (
	GroupEmail    = "email"
	GroupCard     = "card"
	GroupPhone    = "phone"
	GroupPassport = "passport"
	GroupSNILS    = "snils"
	GroupINN      = "inn"
)

// Groups returns the names of the switchable groups.
func Groups() []string {
	return []string{GroupEmail, GroupCard, GroupPhone, GroupPassport, GroupSNILS, GroupINN}
}

// Config says what is redacted and how. The zero Config masks credentials.
type Config struct {
	// KeepCredentials switches the rules for credentials off.
	KeepCredentials bool
	// Groups are the groups of personal data that are redacted.
	Groups []string
	// Patterns are rules of one's own, in RE2 syntax.
	Patterns []Pattern
	// Attributes are keys whose whole value is redacted, beside the built-in ones (authorization headers, cookies).
	Attributes []string
	Mode       Mode
	// LeaveFrom is for a store that redacts long texts itself, once each: the Sink leaves it strings of so many bytes and
	// more that are the whole value of an attribute of a span or log record, or a record's body. It never leaves keys of
	// Attributes and the server's own columns. 0 leaves nothing.
	LeaveFrom int
	// Key is the key of ModeHMAC, at least 16 bytes.
	Key []byte
}

// Pattern is a rule of one's own. When the expression has a group, only the first group is redacted.
type Pattern struct{ Name, Regexp string }

// Redactor redacts texts. It is safe for any number of calls at once.
type Redactor struct {
	mode     Mode
	key      []byte
	rules    []rule
	own      []ownRule
	scan     *scanner
	email    int // rule numbers; -1: off
	digits   digitRules
	attrs    map[string]bool
	names    []string
	counters []atomic.Int64
	attrRule int
}

type ownRule struct {
	re *regexp.Regexp
	id int
}

// NewRedactor returns a Redactor, or an error that names everything that is wrong with cfg.
func NewRedactor(cfg Config) (*Redactor, error) {
	r := &Redactor{mode: cfg.Mode, key: cfg.Key, attrs: map[string]bool{}}
	var errs []error
	switch cfg.Mode {
	case "":
		r.mode = ModeMask
	case ModeMask, ModeDrop:
	case ModeHMAC:
		if len(cfg.Key) < minKey {
			errs = append(errs, fmt.Errorf("redact.key: %d bytes, at least %d are needed for hmac", len(cfg.Key), minKey))
		}
	default:
		errs = append(errs, fmt.Errorf("redact.mode: %q is none of mask, drop, hmac", cfg.Mode))
	}
	if !cfg.KeepCredentials {
		r.rules = credentials()
	}
	for i := range r.rules {
		r.rules[i].id = r.name(r.rules[i].name)
	}
	r.scan = newScanner(r.rules)
	for _, g := range cfg.Groups {
		if !slices.Contains(Groups(), g) {
			errs = append(errs, fmt.Errorf("redact.groups: %q is none of %s", g, strings.Join(Groups(), ", ")))
		}
	}
	group := func(name string) int {
		if slices.Contains(cfg.Groups, name) {
			return r.name(name)
		}
		return -1
	}
	r.email = group(GroupEmail)
	r.digits = digitRules{
		card: group(GroupCard), phone: group(GroupPhone), passport: group(GroupPassport), snils: group(GroupSNILS), inn: group(GroupINN),
	}
	for i, p := range cfg.Patterns {
		re, err := regexp.Compile(p.Regexp)
		if err != nil {
			errs = append(errs, fmt.Errorf("redact.patterns[%d]: %w", i, err))
			continue
		}
		if re.MatchString("") {
			errs = append(errs, fmt.Errorf("redact.patterns[%d]: %q matches the empty text", i, p.Regexp))
			continue
		}
		if !validName(p.Name) {
			errs = append(errs, fmt.Errorf("redact.patterns[%d]: name %q: 1 to 40 letters, digits, '_' and '-'", i, p.Name))
			continue
		}
		r.own = append(r.own, ownRule{re, r.name(p.Name)})
	}
	for _, k := range append(secretAttributes(), cfg.Attributes...) {
		r.attrs[k] = true
	}
	r.attrRule = r.name("attribute")
	r.counters = make([]atomic.Int64, len(r.names))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// secretAttributes returns keys of the conventions that hold nothing but credentials.
func secretAttributes() []string {
	return []string{
		"http.request.header.authorization", "http.request.header.proxy-authorization", "http.request.header.cookie",
		"http.response.header.set-cookie", "http.request.header.x-api-key", "http.request.header.api-key",
		"db.connection_string", "url.password",
	}
}

func validName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	for _, c := range []byte(s) {
		if !word(c) && c != '-' {
			return false
		}
	}
	return true
}

// name numbers a rule; rules of one name are counted together.
func (r *Redactor) name(s string) int {
	if i := slices.Index(r.names, s); i >= 0 {
		return i
	}
	r.names = append(r.names, s)
	return len(r.names) - 1
}

// Counts returns how many secrets each rule has redacted.
func (r *Redactor) Counts() map[string]int64 {
	m := make(map[string]int64, len(r.names))
	for i, n := range r.names {
		m[n] = r.counters[i].Load()
	}
	return m
}

// Total returns how many secrets were redacted.
func (r *Redactor) Total() int64 {
	var n int64
	for i := range r.counters {
		n += r.counters[i].Load()
	}
	return n
}

// hit is a secret in a text.
type hit struct{ start, end, rule int }

// minText is the shortest text that can hold a secret of the built-in rules.
const minText = 8

// Text returns s without secrets, and whether it had any.
func (r *Redactor) Text(s string) (string, bool) {
	if len(s) < minText && len(r.own) == 0 {
		return s, false
	}
	var hits []hit
	if len(s) >= minText {
		hits = r.scan.find(s, hits)
		if r.email >= 0 {
			hits = findEmails(s, r.email, hits)
		}
		if r.digits.on() {
			hits = r.digits.find(s, hits)
		}
	}
	for _, o := range r.own {
		for _, m := range o.re.FindAllStringSubmatchIndex(s, -1) {
			start, end := m[0], m[1]
			if len(m) > 2 && m[2] >= 0 {
				start, end = m[2], m[3]
			}
			if end > start {
				hits = append(hits, hit{start, end, o.id})
			}
		}
	}
	if len(hits) == 0 {
		return s, false
	}
	clean := r.replace(s, hits)
	if looksLikeJSON(s) && !json.Valid([]byte(clean)) && json.Valid([]byte(s)) {
		// An expression of somebody's own took away what holds the text together: nothing of it is kept.
		clean = `"` + r.mask(r.names[hits[0].rule], s) + `"`
	}
	return clean, true
}

// replace puts masks in place of hits. Of hits that overlap, the one that begins first wins, and takes in the rest.
func (r *Redactor) replace(s string, hits []hit) string {
	slices.SortFunc(hits, func(a, b hit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	js := jsonText{text: s, is: looksLikeJSON(s)}
	var b strings.Builder
	b.Grow(len(s))
	done := 0
	for i := 0; i < len(hits); i++ {
		h := hits[i]
		for i+1 < len(hits) && hits[i+1].start < h.end {
			i++
			h.end = max(h.end, hits[i].end)
		}
		b.WriteString(s[done:h.start])
		r.counters[h.rule].Add(1)
		mask := r.mask(r.names[h.rule], s[h.start:h.end])
		if js.bare(h.start) {
			mask = `"` + mask + `"`
		}
		b.WriteString(mask)
		done = h.end
	}
	b.WriteString(s[done:])
	return b.String()
}

func (r *Redactor) mask(rule, secret string) string {
	switch r.mode {
	case ModeDrop:
		return ""
	case ModeHMAC:
		mac := hmac.New(sha256.New, r.key)
		mac.Write([]byte(secret))
		return "[" + rule + " " + hex.EncodeToString(mac.Sum(nil)[:8]) + "]"
	default:
		return "[redacted " + rule + "]"
	}
}

func looksLikeJSON(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s != "" && (s[0] == '{' || s[0] == '[')
}

// jsonText knows which places of a JSON text are outside of strings. It is asked in ascending order.
type jsonText struct {
	text   string
	is     bool
	pos    int
	string bool
}

func (j *jsonText) bare(at int) bool {
	if !j.is {
		return false
	}
	for ; j.pos < at; j.pos++ {
		switch j.text[j.pos] {
		case '"':
			j.string = !j.string
		case '\\':
			if j.string {
				j.pos++
			}
		}
	}
	return !j.string
}
