package eventdb

import (
	"fmt"
	"strconv"
	"strings"
)

// The text of a modeParts value is the length of the whole in bytes and then its parts in their order. A part that was
// kept apart is its hash behind a sign, which stands for what is in front of it:
//
//	[  a bracket    ,  a comma    ;  a comma and a blank    -  nothing
//
// and a number of chunks behind '*' when there are several. Other parts are '=', their length, ':' and their bytes; a
// closing ']' at the end stands for itself. The hashes are words to the engine, so that it finds who uses a payload.
const (
	signBracket    = '['
	signComma      = ','
	signCommaBlank = ';'
	signNothing    = '-'
	signInline     = '='
	signEnd        = ']'
	signChunks     = '*'
)

// hashLen is the length of a hash in its text form.
const hashLen = 32

// piece is a part of a text: a payload, or when ref names none, text.
type piece struct {
	text string
	ref  ref
}

// appendPart writes a part that is kept apart, and the text in front of it.
func appendPart(dst []byte, before string, r ref) []byte {
	switch before {
	case "[":
		dst = append(dst, signBracket)
	case ",":
		dst = append(dst, signComma)
	case ", ":
		dst = append(dst, signCommaBlank)
	default:
		dst = append(appendInline(dst, before), signNothing)
	}
	dst = append(dst, r.hash...)
	if r.chunks > 1 {
		dst = append(dst, signChunks)
		dst = strconv.AppendInt(dst, int64(r.chunks), 10)
	}
	return dst
}

func appendInline(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	dst = append(dst, signInline)
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, ':')
	return append(dst, text...)
}

// parseParts reads what appendPart and appendInline wrote. The results share memory with text.
func parseParts(text string) (pieces []piece, length int, err error) {
	digits, rest := cutDigits(text)
	if length, err = strconv.Atoi(digits); err != nil {
		return nil, 0, fmt.Errorf("%w: length of parts", errSpecial)
	}
	for rest != "" {
		sign := rest[0]
		rest = rest[1:]
		before := ""
		switch sign {
		case signInline:
			var part string
			var ok bool
			if part, rest, ok = cutCounted(rest); !ok {
				return nil, 0, fmt.Errorf("%w: part", errSpecial)
			}
			pieces = append(pieces, piece{text: part})
			continue
		case signEnd:
			pieces = append(pieces, piece{text: "]"})
			continue
		case signBracket:
			before = "["
		case signComma:
			before = ","
		case signCommaBlank:
			before = ", "
		case signNothing:
		default:
			return nil, 0, fmt.Errorf("%w: sign %q", errSpecial, sign)
		}
		if before != "" {
			pieces = append(pieces, piece{text: before})
		}
		var r ref
		if r, rest, err = cutRef(rest); err != nil {
			return nil, 0, err
		}
		pieces = append(pieces, piece{ref: r})
	}
	return pieces, length, nil
}

func cutRef(text string) (ref, string, error) {
	if len(text) < hashLen {
		return ref{}, "", fmt.Errorf("%w: hash", errSpecial)
	}
	r, rest := ref{hash: text[:hashLen], chunks: 1}, text[hashLen:]
	if rest == "" || rest[0] != signChunks {
		return r, rest, nil
	}
	var digits string
	digits, rest = cutDigits(rest[1:])
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 {
		return r, "", fmt.Errorf("%w: chunks", errSpecial)
	}
	r.chunks = n
	return r, rest, nil
}

func cutDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// rejoin puts pieces together again; it returns false when a payload is missing.
func rejoin(pieces []piece, length int, body func(hash string) (string, bool)) (string, bool) {
	if len(pieces) == 1 && pieces[0].ref.hash != "" {
		return body(pieces[0].ref.hash)
	}
	var b strings.Builder
	b.Grow(min(length, joinBytes))
	for _, p := range pieces {
		text := p.text
		if p.ref.hash != "" {
			var ok bool
			if text, ok = body(p.ref.hash); !ok {
				return "", false
			}
		}
		b.WriteString(text)
	}
	return b.String(), true
}
