package traceql

import (
	"strings"
)

// Scope says where an attribute is looked for.
type Scope uint8

// The scopes. ScopeNone looks at the span, then at its resource. ScopeTrace has intrinsics only.
const (
	ScopeNone Scope = iota
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
	ScopeTrace
)

// String returns the scope's word, "" for none.
func (s Scope) String() string {
	return [...]string{"", "span", "resource", "event", "link", "instrumentation", "trace"}[s]
}

func scopeOf(word string) (Scope, bool) {
	for s := ScopeSpan; s <= ScopeTrace; s++ {
		if s.String() == word {
			return s, true
		}
	}
	return ScopeNone, false
}

// Intrinsic is a property of spans and traces that is no attribute.
type Intrinsic uint8

// The intrinsics.
const (
	NoIntrinsic Intrinsic = iota
	IntrinsicDuration
	IntrinsicName
	IntrinsicStatus
	IntrinsicStatusMessage
	IntrinsicKind
	IntrinsicParentID
	IntrinsicSpanID
	IntrinsicTraceID
	IntrinsicRootName
	IntrinsicRootService
	IntrinsicTraceDuration
	IntrinsicNestedSetLeft
	IntrinsicNestedSetRight
	IntrinsicNestedSetParent
	IntrinsicChildCount
	IntrinsicEventName
	IntrinsicEventTimeSinceStart
	IntrinsicLinkTraceID
	IntrinsicLinkSpanID
	IntrinsicScopeName
	IntrinsicScopeVersion
)

// spelling is one way to write an intrinsic.
type spelling struct {
	scope Scope // ScopeNone: a word without a scope
	word  string
	is    Intrinsic
}

func spellings() []spelling {
	return []spelling{
		{ScopeNone, "duration", IntrinsicDuration},
		{ScopeNone, "name", IntrinsicName},
		{ScopeNone, "status", IntrinsicStatus},
		{ScopeNone, "statusMessage", IntrinsicStatusMessage},
		{ScopeNone, "kind", IntrinsicKind},
		{ScopeNone, "parent", IntrinsicParentID},
		{ScopeNone, "rootName", IntrinsicRootName},
		{ScopeNone, "rootServiceName", IntrinsicRootService},
		{ScopeNone, "traceDuration", IntrinsicTraceDuration},
		{ScopeNone, "nestedSetLeft", IntrinsicNestedSetLeft},
		{ScopeNone, "nestedSetRight", IntrinsicNestedSetRight},
		{ScopeNone, "nestedSetParent", IntrinsicNestedSetParent},
		{ScopeNone, "childCount", IntrinsicChildCount},
		{ScopeSpan, "duration", IntrinsicDuration},
		{ScopeSpan, "name", IntrinsicName},
		{ScopeSpan, "kind", IntrinsicKind},
		{ScopeSpan, "status", IntrinsicStatus},
		{ScopeSpan, "statusMessage", IntrinsicStatusMessage},
		{ScopeSpan, "id", IntrinsicSpanID},
		{ScopeSpan, "parentID", IntrinsicParentID},
		{ScopeSpan, "childCount", IntrinsicChildCount},
		{ScopeTrace, "id", IntrinsicTraceID},
		{ScopeTrace, "duration", IntrinsicTraceDuration},
		{ScopeTrace, "rootName", IntrinsicRootName},
		{ScopeTrace, "rootService", IntrinsicRootService},
		{ScopeEvent, "name", IntrinsicEventName},
		{ScopeEvent, "timeSinceStart", IntrinsicEventTimeSinceStart},
		{ScopeLink, "traceID", IntrinsicLinkTraceID},
		{ScopeLink, "spanID", IntrinsicLinkSpanID},
		{ScopeInstrumentation, "name", IntrinsicScopeName},
		{ScopeInstrumentation, "version", IntrinsicScopeVersion},
	}
}

// intrinsicOf returns the intrinsic of a word in a scope.
func intrinsicOf(s Scope, word string) (Intrinsic, bool) {
	for _, sp := range spellings() {
		if sp.scope == s && sp.word == word {
			return sp.is, true
		}
	}
	return NoIntrinsic, false
}

// scopedWords lists the intrinsics of a scope as they are written.
func scopedWords(s Scope) []string {
	var out []string
	for _, sp := range spellings() {
		if sp.scope == s {
			out = append(out, s.String()+":"+sp.word)
		}
	}
	return out
}

// Attribute is an attribute or, when Intrinsic says so, an intrinsic. It is comparable.
type Attribute struct {
	Scope     Scope
	Name      string
	Intrinsic Intrinsic
	// Parent means the attribute of the span's parent.
	Parent bool
}

// String writes the attribute so that it parses back.
func (a Attribute) String() string {
	if a.Intrinsic != NoIntrinsic {
		for _, sp := range spellings() {
			if sp.is == a.Intrinsic && sp.scope == a.Scope {
				if a.Scope == ScopeNone {
					return sp.word
				}
				return a.Scope.String() + ":" + sp.word
			}
		}
	}
	var b strings.Builder
	if a.Parent {
		b.WriteString("parent")
		if a.Scope != ScopeNone {
			b.WriteByte('.')
		}
	}
	b.WriteString(a.Scope.String())
	b.WriteByte('.')
	b.WriteString(attributeName(a.Name, a.Scope == ScopeNone))
	return b.String()
}

// attributeName quotes a name that would not be read as one. bare names follow a dot alone, or "parent.".
func attributeName(name string, bare bool) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !isAttributeRune(r) }) {
		return quote(name)
	}
	if bare && (isDigit(name[0]) || strings.HasPrefix(name, "span.") || strings.HasPrefix(name, "resource.")) {
		return quote(name[:1]) + name[1:]
	}
	return name
}

// Label is the name under which the attribute's values are shown: without its scope, unless it is another span's.
func (a Attribute) Label() string {
	if a.Parent {
		return a.String()
	}
	for _, sp := range spellings() {
		if a.Intrinsic != NoIntrinsic && sp.is == a.Intrinsic {
			return Attribute{Scope: sp.scope, Intrinsic: sp.is}.String()
		}
	}
	return a.Name
}

// key makes spellings of the same thing equal.
func (a Attribute) key() Attribute {
	if a.Intrinsic != NoIntrinsic {
		return Attribute{Intrinsic: a.Intrinsic}
	}
	return a
}

// quote writes a text as the lexer reads it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\t':
			b.WriteString(`\t`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
