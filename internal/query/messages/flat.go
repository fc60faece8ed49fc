package messages

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/store"
)

// branch is a value that was flattened into attributes: its members, or the content of a leaf.
type branch struct {
	members map[string]*branch
	leaf    *store.Value
}

// maxFlatDepth bounds the nesting of flattened attributes; the rest of a longer name is one member's name.
const maxFlatDepth = 12

// fromFlat reads messages that were flattened into attributes: "0.message.role", "0.tool_calls.1.name".
func fromFlat(fields []store.Field, role string) []Message {
	if len(fields) == 0 {
		return nil
	}
	root := &branch{}
	for _, f := range fields {
		root.put(strings.SplitN(f.Name, ".", maxFlatDepth), f.Value)
	}
	n := root.node()
	if !n.is('[') {
		return []Message{{Role: role, Parts: rawPart(n.value())}}
	}
	var out []Message
	for _, item := range n.list() {
		m := item.object()
		if inner := m["message"].object(); inner != nil {
			m = inner
		}
		if m == nil {
			out = add(out, Message{Role: role, Parts: looseText(item)})
			continue
		}
		msg := message(m, role)
		if len(msg.Parts) == 0 && msg.Finish == "" {
			continue
		}
		out = append(out, msg)
	}
	return out
}

func (b *branch) put(path []string, v store.Value) {
	if len(path) == 0 {
		b.leaf = &v
		return
	}
	if b.members == nil {
		b.members = map[string]*branch{}
	}
	next, ok := b.members[path[0]]
	if !ok {
		next = &branch{}
		b.members[path[0]] = next
	}
	next.put(path[1:], v)
}

// node writes the branch as JSON. Members that are all numbers are a list, in the order of the numbers.
func (b *branch) node() node {
	if len(b.members) == 0 {
		if b.leaf == nil {
			return node{[]byte("null")}
		}
		return node{encode(*b.leaf)}
	}
	keys := slices.Sorted(maps.Keys(b.members))
	if numbers(keys) {
		slices.SortFunc(keys, func(x, y string) int { return index(x) - index(y) })
		items := make([]json.RawMessage, len(keys))
		for i, k := range keys {
			items[i] = b.members[k].node().raw
		}
		return node{mustEncode(items)}
	}
	m := make(map[string]json.RawMessage, len(keys))
	for _, k := range keys {
		m[k] = b.members[k].node().raw
	}
	return node{mustEncode(m)}
}

func numbers(keys []string) bool {
	for _, k := range keys {
		if index(k) < 0 {
			return false
		}
	}
	return true
}

func index(key string) int {
	if n, err := strconv.ParseUint(key, 10, 31); err == nil {
		return int(n)
	}
	return -1
}

func encode(v store.Value) []byte {
	switch v.Type() {
	case store.TypeSlice, store.TypeMap:
		if json.Valid([]byte(v.Text())) {
			return []byte(v.Text())
		}
	case store.TypeEmpty:
		return []byte("null")
	}
	return mustEncode(v.Text())
}

// mustEncode encodes what always can be: texts, and JSON that was checked.
func mustEncode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode messages: " + err.Error())
	}
	return b
}
