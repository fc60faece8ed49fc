package eventdb

import (
	"strings"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/store"
)

// Columns that are ours, beside those named like the fields of a row. docs/format/eventdb.md describes them.
const (
	colKind    = store.FieldKind
	colService = store.FieldService
	colID      = "_id"
	colTypes   = "_types"
	colSpecial = "_x"
	colTime    = "_time"
	colInvalid = "_u" // marks text that is no valid UTF-8; a column of payloads, a name among special values

	colHash  = "hash"
	colChunk = "chunk"
	colBody  = "body"
	colMedia = "media"

	colGroup  = "group"  // of a payload and of the row of its group's words
	colCommon = "common" // the set of words that a sketch leaves out
	colWords  = "words"  // a sketch

	colGrain   = "grain" // of an index row of a trace: seconds
	traceGrain = "300"   // traceBlock
	colMark    = "mark"  // of a row that brings the name of a stream and is nothing else (see streams.go)
)

// kindTrace is the kind of the index rows that tell when a trace's spans started (see traces.go). No row of the
// contract has it.
const kindTrace store.Kind = "_trace"

// Limits of the engine, with a margin.
const (
	maxNameLen    = 128     // bytes of a column's name
	maxColumns    = 1500    // columns of a row; the engine takes 2 000 per block
	maxServiceLen = 256     // bytes of a service in the stream's name
	maxIDLen      = 1024    // bytes of a row id
	maxSpecialLen = 1 << 20 // bytes of special values kept within the row
	maxRowLen     = 3 << 19 // bytes of a row; the engine takes 2 MiB
)

// idColumn and idOf turn a row id into its column's text and back. The sign in front keeps an id that looks like a
// number from being rewritten by the engine: ids must be found by their exact text.
func idColumn(id string) string { return "=" + id }
func idOf(column string) string { return strings.TrimPrefix(column, "=") }
func idColumns(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = idColumn(id)
	}
	return out
}

// hashMark is in front of hashes in their column, and of sketches. The engine packs a block of texts in which nothing
// repeats not at all when it is built without cgo, as releases are, and hexadecimal digits take twice their place then.
const hashMark = "--------"

// hashColumn and hashOfColumn turn a payload's hash into its column's text and back; in format 1 they are the same.
func hashColumn(hash string) string   { return hashMark + hash }
func hashOfColumn(text string) string { return strings.TrimPrefix(text, hashMark) }

// hashIn builds the condition for payloads of these hashes.
func (db *DB) hashIn(hashes []string) string {
	marked := make([]string, 0, 2*len(hashes))
	for _, h := range hashes {
		marked = append(marked, hashColumn(h))
	}
	if db.oldUntil > 0 {
		marked = append(marked, hashes...)
	}
	return fieldIn(colHash, marked)
}

// columnName tells whether a field of this name can be a column of the engine: short enough, no name that the engine or
// this package uses itself, nothing that means a prefix in its queries.
func columnName(name string) bool {
	return name != "" && len(name) <= maxNameLen && name[0] != '_' && name != colKind &&
		name[len(name)-1] != '*' && strings.IndexByte(name, 0) < 0 && utf8.ValidString(name)
}

// impliedType returns the type that a column's values have when the row says nothing else.
func impliedType(name string) store.Type {
	switch name {
	case store.FieldRevision, store.FieldEnd, store.FieldDuration, store.FieldFlags, store.FieldSeverity,
		store.FieldObservedTime, store.FieldTokensInput, store.FieldTokensCacheRead, store.FieldTokensCacheWrite5m,
		store.FieldTokensCacheWrite1h, store.FieldTokensOutput, store.FieldTokensReasoning, store.FieldCostMicro,
		store.FieldCostRest:
		return store.TypeInt
	case store.FieldTaskProvisional, store.FieldTaskInherited, store.FieldRecordTimeZero:
		return store.TypeBool
	default:
		return store.TypeString
	}
}

// splittable tells whether a field's long text may be kept apart as a payload.
func splittable(name string) bool {
	switch name {
	case store.FieldBody, store.FieldEvents, store.FieldLinks, store.FieldStatusMessage:
		return true
	}
	return strings.HasPrefix(name, store.PrefixAttr) || strings.HasPrefix(name, store.PrefixResource) ||
		strings.HasPrefix(name, store.PrefixScopeAttr)
}

// Letters of types in the columns _types and _x. In _types an upper case letter says that the text is empty, so that
// the engine keeps no column for it.
var typeLetters = [...]byte{
	store.TypeEmpty: 'e', store.TypeString: 's', store.TypeBool: 'b', store.TypeInt: 'i',
	store.TypeDouble: 'd', store.TypeBytes: 'y', store.TypeSlice: 'l', store.TypeMap: 'm',
}

func typeOfLetter(c byte) (store.Type, bool) {
	for t, l := range typeLetters {
		if l == c {
			return store.Type(t), true
		}
	}
	return 0, false
}
