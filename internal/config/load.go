package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Sources are where settings come from. The zero value gives the defaults.
type Sources struct {
	// File is the path of a YAML file; "" is none.
	File string
	// Getenv looks variables up; nil finds none.
	Getenv func(string) string
	// Flags holds the flags that were given, by key.
	Flags map[string]string
}

// EnvName returns the variable that holds a key.
func EnvName(key string) string {
	return "MINDSCOPE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// FlagName returns the flag that holds a key.
func FlagName(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }

// Problem is one thing that is wrong with the settings.
type Problem struct {
	// Key is the setting, Value its text.
	Key, Value string
	// Rule says what the value must be.
	Rule string
	// Where names the file and line, the variable or the flag; "" is the default.
	Where string
}

func (p Problem) String() string {
	value := p.Value
	if isSecret(p.Key) {
		value = hidden(value)
	}
	s := fmt.Sprintf("%s = %q: %s", p.Key, value, p.Rule)
	if p.Where != "" {
		s += " (" + p.Where + ")"
	}
	return s
}

// isSecret tells whether a key's value must not be printed, one that is misspelled included.
func isSecret(key string) bool {
	return key == "redact.key" || strings.Contains(key, "passw") && !strings.HasSuffix(key, "_file")
}

// Problems is all that is wrong, in one error.
type Problems []Problem

// Error puts each problem on a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads all sources and validates the result. Its error holds all problems at once.
func Load(s Sources) (Config, error) {
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	l := loader{cfg: Default(s.Getenv), where: map[string]string{}, settings: settings()}
	if s.File != "" {
		if err := l.file(s.File); err != nil {
			return Config{}, err
		}
	}
	for _, k := range l.settings {
		if v := s.Getenv(EnvName(k.key)); v != "" && k.setNamed == nil {
			l.set(k.key, v, EnvName(k.key))
		}
	}
	for _, k := range l.settings {
		if v, ok := s.Flags[k.key]; ok {
			l.set(k.key, v, FlagName(k.key))
		}
	}
	if _, said := l.where["payload_retention"]; !said { // a short retention alone is no contradiction
		l.cfg.PayloadRetention = min(l.cfg.PayloadRetention, max(l.cfg.Retention, day))
	}
	l.problems = append(l.problems, l.cfg.problems(l.where)...)
	if len(l.problems) > 0 {
		return Config{}, l.problems
	}
	return l.cfg, nil
}

// Validate returns all Problems of c at once, or nil.
func (c Config) Validate() error {
	if p := c.problems(nil); len(p) > 0 {
		return p
	}
	return nil
}

func (c Config) problems(where map[string]string) Problems {
	var all Problems
	for _, k := range settings() {
		if k.check == nil {
			continue // checked when it is set
		}
		if broken := k.check(&c); broken != "" {
			all = append(all, Problem{Key: k.key, Value: k.text(&c), Rule: "must be " + broken, Where: where[k.key]})
		}
	}
	return all
}

type loader struct {
	cfg      Config
	where    map[string]string // of each key that was set
	settings []setting
	problems Problems
}

func (l *loader) set(key, value, where string) {
	for _, k := range l.settings {
		if k.key != key || k.setNamed != nil {
			continue
		}
		l.where[key] = where
		if err := k.set(&l.cfg, value); err != nil {
			l.problems = append(l.problems, Problem{Key: key, Value: value, Rule: "must be " + err.Error(), Where: where})
		}
		return
	}
	l.problems = append(l.problems, Problem{Key: key, Value: value, Rule: l.shape(key), Where: where})
}

// suggest names the key that was probably meant.
func (l *loader) suggest(key string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	for _, k := range l.settings {
		if strings.EqualFold(k.key, key) || strings.TrimPrefix(k.key, "otlp.") == last || strings.ReplaceAll(k.key, "_", "") == strings.ReplaceAll(key, "-", "") {
			return ", perhaps " + k.key
		}
	}
	return ""
}

func (l *loader) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return fmt.Errorf("read configuration %s: %w", path, err)
	}
	if len(root.Content) == 0 { // empty, or comments only
		return nil
	}
	if isNull(root.Content[0]) {
		return nil
	}
	if root.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("read configuration %s: %w", path, errors.New("the file must hold settings, as listen: 127.0.0.1:9090"))
	}
	l.mapping(path, "", root.Content[0])
	return nil
}

// mapping reads the keys of m, whose own key is prefix.
func (l *loader) mapping(path, prefix string, m *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		name, value := m.Content[i], m.Content[i+1]
		key := prefix + name.Value
		where := fmt.Sprintf("%s, line %d", path, name.Line)
		switch {
		case seen[key]:
			l.problems = append(l.problems, Problem{Key: key, Value: value.Value, Rule: "is set twice", Where: where})
		case value.Kind == yaml.MappingNode && l.find(key).setNamed != nil:
			l.named(path, key, value)
		case value.Kind == yaml.MappingNode && l.isSection(key):
			l.mapping(path, key+".", value)
		case value.Kind == yaml.SequenceNode && l.find(key).list:
			l.sequence(key, where, value)
		case value.Kind == yaml.ScalarNode && l.isSwitch(key, value.Value):
			l.set(key+".enabled", strconv.FormatBool(value.Value == "on" || value.Value == "true"), where)
		case value.Kind == yaml.ScalarNode && !isNull(value):
			l.set(key, value.Value, where)
		case l.isSection(key) && isNull(value): // a section whose lines are all comments
		default:
			l.problems = append(l.problems, Problem{Key: key, Value: value.Value, Rule: l.shape(key), Where: where})
		}
		seen[key] = true
	}
}

// find returns the setting of a key, the zero setting when there is none.
func (l *loader) find(key string) setting {
	for _, k := range l.settings {
		if k.key == key {
			return k
		}
	}
	return setting{}
}

// sequence reads a list of texts.
func (l *loader) sequence(key, where string, n *yaml.Node) {
	texts := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			l.problems = append(l.problems, Problem{Key: key, Rule: "must be a list of texts", Where: where})
			return
		}
		texts = append(texts, item.Value)
	}
	l.set(key, strings.Join(texts, ","), where)
}

// named reads a mapping of free names.
func (l *loader) named(path, key string, m *yaml.Node) {
	k := l.find(key)
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		name, value := m.Content[i], m.Content[i+1]
		p := Problem{Key: key + "." + name.Value, Value: value.Value, Where: fmt.Sprintf("%s, line %d", path, name.Line)}
		switch {
		case seen[name.Value]:
			p.Rule = "is set twice"
		case k.sections && value.Kind == yaml.MappingNode:
			l.keys(path, k, name.Value, value)
		case k.sections:
			p.Rule = "must be a mapping of keys"
		case value.Kind != yaml.ScalarNode:
			p.Rule = "must be a single value"
		default:
			if err := k.setNamed(&l.cfg, name.Value, value.Value); err != nil {
				p.Rule = "must be " + err.Error()
			}
		}
		if p.Rule != "" {
			l.problems = append(l.problems, p)
		}
		seen[name.Value] = true
	}
}

// keys reads the keys below one free name.
func (l *loader) keys(path string, k setting, name string, m *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		text := value.Value
		if value.Kind == yaml.SequenceNode {
			var texts []string
			for _, item := range value.Content {
				texts = append(texts, item.Value)
			}
			text = strings.Join(texts, ",")
		}
		p := Problem{Key: k.key + "." + name + "." + key.Value, Value: text, Where: fmt.Sprintf("%s, line %d", path, key.Line)}
		if seen[key.Value] {
			p.Rule = "is set twice"
		} else if err := k.setNamed(&l.cfg, name+"."+key.Value, text); err != nil {
			p.Rule = "must be " + err.Error()
		}
		if p.Rule != "" {
			l.problems = append(l.problems, p)
		}
		seen[key.Value] = true
	}
}

// shape tells what the value of key should have looked like.
func (l *loader) shape(key string) string {
	switch k := l.find(key); {
	case k.setNamed != nil:
		return "must be a mapping of names"
	case k.list:
		return "must be a list of texts"
	case k.key != "":
		return "must be a single value"
	}
	return "there is no such setting" + l.suggest(key)
}

// isSwitch tells whether `key: off` is short for `key: {enabled: false}`.
func (l *loader) isSwitch(key, value string) bool {
	return l.find(key).key == "" && l.find(key+".enabled").key != "" && slices.Contains([]string{"on", "off", "true", "false"}, value)
}

func (l *loader) isSection(key string) bool {
	for _, k := range l.settings {
		if strings.HasPrefix(k.key, key+".") {
			return true
		}
	}
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
