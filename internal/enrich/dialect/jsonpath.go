package dialect

import (
	"encoding/json"
	"strings"
)

// maxDepth bounds how deep lookup follows nested values.
const maxDepth = 200

// lookup finds the value at path inside the JSON object text without building the object. It returns strings
// unquoted, other scalars and nested values as they are written. Text that is cut off or no JSON gives what was
// found before the damage, else false.
func lookup(text string, path []string) (string, bool) {
	for _, name := range path {
		var ok bool
		if text, ok = member(text, name); !ok {
			return "", false
		}
	}
	if strings.HasPrefix(text, `"`) {
		return unquote(text)
	}
	return text, true
}

// unquote reads a JSON string.
func unquote(text string) (string, bool) {
	if inner := text[1:max(len(text)-1, 1)]; !strings.ContainsAny(inner, `\"`) {
		return inner, true
	}
	var s string
	if json.Unmarshal([]byte(text), &s) != nil {
		return "", false
	}
	return s, true
}

// member returns the text of a member of the object that text begins with.
func member(text, name string) (string, bool) {
	i := space(text, 0)
	if i >= len(text) || text[i] != '{' {
		return "", false
	}
	i++
	for {
		i = space(text, i)
		if i >= len(text) || text[i] != '"' {
			return "", false
		}
		end := skipString(text, i)
		if end < 0 {
			return "", false
		}
		key := text[i+1 : end-1]
		i = space(text, end)
		if i >= len(text) || text[i] != ':' {
			return "", false
		}
		i = space(text, i+1)
		end = skipValue(text, i)
		if end < 0 {
			return "", false
		}
		if key == name {
			return text[i:end], true
		}
		i = space(text, end)
		if i >= len(text) || text[i] != ',' {
			return "", false
		}
		i++
	}
}

func space(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string that begins at i, -1 when it has no end.
func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// skipValue returns the index behind the value that begins at i, -1 when there is none or it has no end.
func skipValue(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				if i = skipString(s, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				if depth++; depth > maxDepth {
					return -1
				}
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(s) && !strings.ContainsRune(",}] \n\t\r", rune(s[i])) {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
