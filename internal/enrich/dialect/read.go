package dialect

import (
	"math/bits"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxAttrs is how many known attributes of one span are looked at. Spans with more carry repeated keys.
const maxAttrs = 255

// reader holds what is known of one span while it is read. It is used again for the next one.
type reader struct {
	book *book
	// at maps a key's number to one more than its place in vals.
	at   []uint8
	vals []pcommon.Value
	used []uint16

	name      string
	operation string
	detects   uint32
	forged    int
}

func newReader(b *book) *reader {
	return &reader{book: b, at: make([]uint8, b.numKeys), vals: make([]pcommon.Value, 0, maxAttrs), used: make([]uint16, 0, maxAttrs)}
}

func (r *reader) reset(name string) {
	for _, k := range r.used {
		r.at[k] = 0
	}
	clear(r.vals)
	r.vals, r.used = r.vals[:0], r.used[:0]
	r.name, r.operation, r.detects, r.forged = name, "", 0, 0
}

// take notes where the known attributes are and which dialects they speak for.
func (r *reader) take(attrs pcommon.Map) {
	for k, v := range attrs.All() {
		info, ok := r.book.keys[k]
		if !ok {
			for i := range r.book.prefixes {
				if strings.HasPrefix(k, r.book.prefixes[i].prefix) {
					r.detects |= r.book.prefixes[i].detects
				}
			}
			continue
		}
		if info.forged {
			r.forged++
			continue
		}
		r.detects |= info.detects
		if info.id == 0 || r.at[info.id] != 0 || len(r.vals) == maxAttrs {
			continue
		}
		r.vals = append(r.vals, v)
		r.used = append(r.used, info.id)
		r.at[info.id] = uint8(len(r.vals))
	}
}

// detect returns the span's dialect, nil when it speaks none. Scope first, then keys in the tables' order; a span's name
// proves a dialect only together with one of its keys, and alone when nothing else speaks: parse_user_agent with the
// attributes of an HTTP request is no agent.
func (r *reader) detect(scope int, attrs pcommon.Map) *known {
	b := r.book
	for set := b.named & r.detects; set != 0; set &= set - 1 {
		if d := &b.dialects[bits.TrailingZeros32(set)]; d.named(r.name) {
			return d
		}
	}
	if scope >= 0 {
		return &b.dialects[scope]
	}
	if set := r.detects &^ b.named; set != 0 {
		return &b.dialects[bits.TrailingZeros32(set)]
	}
	for i := range b.dialects {
		if d := &b.dialects[i]; d.valueKey != 0 && r.at[d.valueKey] != 0 {
			if v := r.vals[r.at[d.valueKey]-1]; v.Type() == pcommon.ValueTypeStr && strings.HasPrefix(v.Str(), d.valuePref) {
				return d
			}
		}
	}
	for set := b.named; set != 0; set &= set - 1 {
		if d := &b.dialects[bits.TrailingZeros32(set)]; d.named(r.name) && !otherWork(attrs) {
			return d
		}
	}
	return nil
}

// otherWork tells whether a span has attributes of conventions that have nothing to do with agents.
func otherWork(attrs pcommon.Map) bool {
	for k := range attrs.All() {
		switch head, _, _ := strings.Cut(k, "."); head {
		case "http", "url", "user_agent", "db", "rpc", "net", "network", "server", "client", "messaging", "faas", "aws", "k8s":
			return true
		}
	}
	return false
}

func (k *known) named(name string) bool {
	if slices.Contains(k.names, name) {
		return true
	}
	for _, s := range k.suffixes {
		if len(name) > len(s) && strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

// text returns the first rule's answer that is not empty. A non-nil alias translates answers; what it makes empty is no
// answer.
func (r *reader) text(d *known, f field, alias map[string]string) string {
	for i := range d.rules[f] {
		p := &d.rules[f][i]
		if p.only != "" && p.only != r.operation {
			continue
		}
		if s := r.answer(p); s != "" {
			if alias != nil {
				s = translate(alias, s)
			}
			if s != "" {
				return s
			}
		}
	}
	return ""
}

func (r *reader) answer(p *place) string {
	if p.name != "" && r.name != p.name {
		return ""
	}
	if p.suffix != "" {
		stem, ok := strings.CutSuffix(r.name, p.suffix)
		if !ok || stem == "" {
			return ""
		}
		if p.then == "" {
			return stem
		}
	}
	if p.span {
		return r.name
	}
	if p.key == 0 {
		return p.then
	}
	if r.at[p.key] == 0 {
		return ""
	}
	s := r.string(r.vals[r.at[p.key]-1], p)
	switch {
	case s == "":
		return ""
	case p.then != "":
		return p.then
	case p.values != nil:
		return p.values[s]
	default:
		return s
	}
}

func (r *reader) string(v pcommon.Value, p *place) string {
	var s string
	switch {
	case len(p.json) > 0:
		s, _ = r.inJSON(v, p.json)
	case v.Type() == pcommon.ValueTypeStr:
		s = v.Str()
	default:
		s = v.AsString()
	}
	if p.quoted {
		s = strings.Trim(s, `"`)
	}
	return s
}

// inJSON finds a value inside a JSON text or a map.
func (r *reader) inJSON(v pcommon.Value, path []string) (string, bool) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return lookup(v.Str(), path)
	case pcommon.ValueTypeMap:
		for i, name := range path {
			if v.Type() != pcommon.ValueTypeMap {
				return "", false
			}
			next, ok := v.Map().Get(name)
			if !ok {
				return "", false
			}
			if v = next; i == len(path)-1 {
				return v.AsString(), true
			}
		}
	}
	return "", false
}

// translate returns the canonical spelling of s.
func translate(alias map[string]string, s string) string {
	if to, ok := alias[s]; ok {
		return to
	}
	return s
}

// provider returns the canonical name of a provider. Vercel adds the kind of endpoint ("openai.chat"), others spell it
// with capitals.
func (r *reader) provider(d *known) string {
	for i := range d.rules[fProvider] {
		p := &d.rules[fProvider][i]
		s := r.answer(p)
		if s == "" {
			continue
		}
		if to, ok := r.book.providers[s]; ok {
			if to == "" {
				continue
			}
			return to
		}
		if lower := strings.ToLower(s); lower != s {
			s = lower
			if to, ok := r.book.providers[s]; ok && to == "" {
				continue
			}
			s = translate(r.book.providers, s)
		}
		if base, kind, ok := strings.Cut(s, "."); ok && endpointKind(kind) {
			s = translate(r.book.providers, base)
		}
		return s
	}
	return ""
}

func endpointKind(s string) bool {
	switch s {
	case "chat", "responses", "completion", "completions", "messages", "embedding", "embeddings", "image":
		return true
	}
	return false
}
