package store

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/mindscope/mindscope/internal/signal"
)

// ordinals gives rows without ids of their own one: the hash of all their sender said, and their ordinal among equal
// ones in the request. A request sent again gives the same ids, so that the repeat is recognised, even when prices or
// tables of dialects changed in between: canonical columns don't count.
type ordinals struct {
	seen map[[16]byte]int
	buf  []byte
}

func (o *ordinals) of(r *Row) string {
	o.buf = append(o.buf[:0], r.Kind...)
	b := o.buf
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	for _, f := range r.Fields {
		if !IsColumn(f.Name) {
			b = appendFieldKey(b, f)
		}
	}
	o.buf = b
	h := xxh3.Hash128(b).Bytes()
	if o.seen == nil {
		o.seen = map[[16]byte]int{}
	}
	n := o.seen[h]
	o.seen[h] = n + 1
	id := hex.EncodeToString(h[:])
	if n == 0 {
		return id
	}
	return id + "-" + strconv.Itoa(n)
}

// appendFieldKey writes all of a field so that no two differing fields, or lists of them, are written alike.
func appendFieldKey(b []byte, f Field) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.Name)))
	b = append(b, f.Name...)
	b = append(b, byte(f.Value.typ))
	b = binary.LittleEndian.AppendUint64(b, f.Value.num)
	b = binary.AppendUvarint(b, uint64(len(f.Value.str)))
	return append(b, f.Value.str...)
}

// PayloadMinBytes is the size from which a string attribute is stored as a payload: once, and referred to by its hash.
const PayloadMinBytes = 512

// PayloadHash returns the name of a payload: 128 bits of its content and its project, as 32 hex digits.
func PayloadHash(p signal.Project, content string) string {
	var h xxh3.Hasher
	_, _ = h.WriteString(string(p)) // a hash's Write never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.WriteString(content)
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}

// PayloadNamer is a store with hashes of its own: keyed, so that they tell nothing to who guesses content.
type PayloadNamer interface {
	// PayloadHash returns the hash under which content is stored in a project, if it is.
	PayloadHash(p signal.Project, content string) string
}

// HashOf returns the hash of content in a store: the store's own, else PayloadHash.
func HashOf(r Reader, p signal.Project, content string) string {
	if n, ok := r.(PayloadNamer); ok {
		return n.PayloadHash(p, content)
	}
	return PayloadHash(p, content)
}
