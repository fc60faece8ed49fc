package app

import (
	"bytes"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// outlines are the parts of YAML files by name, of each file by its path.
type outlines map[string]map[string]string

// outlinesOf reads files. One that can't be read has no parts: who uses it says what is wrong.
func outlinesOf(files []string) outlines {
	all := outlines{}
	for _, f := range files {
		if raw, err := os.ReadFile(f); err == nil {
			all[f] = outline(raw)
		}
	}
	return all
}

// outline names the parts of a YAML file: its keys two levels deep, and the items of lists that have a name.
func outline(raw []byte) map[string]string {
	var root yaml.Node
	if yaml.Unmarshal(raw, &root) != nil || len(root.Content) == 0 {
		return nil
	}
	out := map[string]string{}
	for key, value := range pairs(root.Content[0]) {
		for name, item := range parts(value) {
			if name != "" {
				name = "." + name
			}
			out[key+name] += text(item) // items without a name are one part together
		}
	}
	return out
}

// pairs goes through a mapping.
func pairs(n *yaml.Node) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// parts goes through what a value consists of; a part without a name has "".
func parts(n *yaml.Node) func(func(string, *yaml.Node) bool) {
	if n.Kind == yaml.MappingNode {
		return pairs(n)
	}
	return func(yield func(string, *yaml.Node) bool) {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			name := ""
			for key, value := range pairs(item) {
				if slices.Contains([]string{"name", "job_name", "model"}, key) {
					name = value.Value
				}
			}
			if !yield(name, item) {
				return
			}
		}
	}
}

// text is a value without what does not count: where it stands, and comments.
func text(n *yaml.Node) string {
	var value any
	if n.Decode(&value) != nil {
		return n.Value
	}
	var b bytes.Buffer
	if yaml.NewEncoder(&b).Encode(value) != nil {
		return n.Value
	}
	return b.String()
}

// differences are what a log line says of each file that is other than it was.
func (o outlines) differences(now outlines) [][]any {
	files := map[string]bool{}
	for f := range o {
		files[f] = true
	}
	for f := range now {
		files[f] = true
	}
	var out [][]any
	for _, f := range slices.Sorted(maps.Keys(files)) {
		before, after := o[f], now[f]
		var added, changed, removed []string
		for name := range after {
			if old, ok := before[name]; !ok {
				added = append(added, name)
			} else if old != after[name] {
				changed = append(changed, name)
			}
		}
		for name := range before {
			if _, ok := after[name]; !ok {
				removed = append(removed, name)
			}
		}
		line := []any{"file", f}
		for _, group := range []struct {
			what  string
			names []string
		}{{"added", added}, {"changed", changed}, {"removed", removed}} {
			if len(group.names) > 0 {
				slices.Sort(group.names)
				line = append(line, group.what, group.names)
			}
		}
		if len(line) > 2 {
			out = append(out, line)
		}
	}
	return out
}
