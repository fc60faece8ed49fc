package eventdb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// A special value is what a column can't hold as it is. All of a row's special values are in its column _x, one after
// the other: length of the name, ':', name, NUL, mode, letter of the type, length of the text, ':', text, newline.
// The lengths make it byte-exact; ':' and NUL around the name let the engine find it as a phrase.
type special struct {
	name string
	mode byte
	typ  store.Type
	text string
}

// Modes of special values.
const (
	modeWhole = 'v' // the field has no column; text is the value
	modeExact = 'o' // the field has a column that may read differently; text is the value
	modeRef   = 'r' // text names the payload that holds the value (see ref)
	modeParts = 'p' // text is the value's parts, some of them payloads (see parts.go)
)

var errSpecial = errors.New("malformed special values")

func (s special) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(s.name)), 10)
	dst = append(dst, ':')
	dst = append(dst, s.name...)
	dst = append(dst, 0, s.mode, typeLetters[s.typ])
	dst = strconv.AppendInt(dst, int64(len(s.text)), 10)
	dst = append(dst, ':')
	dst = append(dst, s.text...)
	return append(dst, '\n')
}

// parseSpecials reads a column _x. The results share memory with text.
func parseSpecials(text string) ([]special, error) {
	var out []special
	for text != "" {
		var s special
		var ok bool
		if s.name, text, ok = cutCounted(text); !ok || len(text) < 3 || text[0] != 0 {
			return nil, fmt.Errorf("%w: name", errSpecial)
		}
		s.mode = text[1]
		if s.typ, ok = typeOfLetter(text[2]); !ok {
			return nil, fmt.Errorf("%w: type %q", errSpecial, text[2])
		}
		if s.text, text, ok = cutCounted(text[3:]); !ok || text == "" || text[0] != '\n' {
			return nil, fmt.Errorf("%w: text", errSpecial)
		}
		text = text[1:]
		out = append(out, s)
	}
	return out, nil
}

// cutCounted cuts "3:abcrest" into "abc" and "rest".
func cutCounted(s string) (head, rest string, ok bool) {
	count, rest, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", false
	}
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || int(n) > len(rest) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// ref is the text of a modeRef value: hash, ' ', length of the value in bytes, ' ', number of chunks.
type ref struct {
	hash   string
	length int
	chunks int
}

func (r ref) String() string { return fmt.Sprintf("%s %d %d", r.hash, r.length, r.chunks) }

func parseRef(text string) (ref, error) {
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return ref{}, fmt.Errorf("%w: payload reference", errSpecial)
	}
	length, err1 := strconv.ParseUint(parts[1], 10, 40)
	chunks, err2 := strconv.ParseUint(parts[2], 10, 31)
	if err := errors.Join(err1, err2); err != nil {
		return ref{}, fmt.Errorf("%w: payload reference: %w", errSpecial, err)
	}
	return ref{hash: parts[0], length: int(length), chunks: int(chunks)}, nil
}
