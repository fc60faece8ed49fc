package dialect

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed tables/*.yaml
var tables embed.FS

// field is one thing that a dialect can say of a span.
type field uint8

// The fields, in the order of the tables' documentation.
const (
	fOperation field = iota
	fProvider
	fRequestModel
	fResponseModel
	fAgent
	fTool
	fConversation
	fUser
	fTaskID
	fTaskType
	fQuality
	fInput
	fOutput
	fCacheRead
	fCacheWrite
	fCacheWrite5m
	fCacheWrite1h
	fReasoning
	fCost
	numFields
)

// fieldNames returns the fields' names in the tables.
func fieldNames() [numFields]string {
	return [numFields]string{
		"operation", "provider", "request_model", "response_model", "agent", "tool", "conversation", "user", "task_id",
		"task_type", "quality", "input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h",
		"reasoning", "cost",
	}
}

// Rule is one place where a field is looked for. In the tables a rule with nothing but a key is written as the key.
type Rule struct {
	Key        string            `yaml:"key"`
	JSON       string            `yaml:"json"`
	Values     map[string]string `yaml:"values"`
	Then       string            `yaml:"then"`
	Only       string            `yaml:"only"`
	Name       string            `yaml:"name"`
	NameSuffix string            `yaml:"name_suffix"`
	SpanName   bool              `yaml:"span_name"`
	Quoted     bool              `yaml:"quoted"`
	Sum        []string          `yaml:"sum"`
}

// UnmarshalYAML reads a key or a whole rule.
func (r *Rule) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		r.Key = n.Value
		return nil
	}
	type plain Rule
	return n.Decode((*plain)(r))
}

// detection says how a dialect is known.
type detection struct {
	Scopes        []string          `yaml:"scopes"`
	ScopePrefixes []string          `yaml:"scope_prefixes"`
	Keys          []string          `yaml:"keys"`
	KeyPrefixes   []string          `yaml:"key_prefixes"`
	Names         []string          `yaml:"names"`
	NameSuffixes  []string          `yaml:"name_suffixes"`
	ValuePrefixes map[string]string `yaml:"value_prefixes"`
}

// table is one dialect as its file describes it.
type table struct {
	Name     string    `yaml:"name"`
	Title    string    `yaml:"title"`
	About    string    `yaml:"about"`
	Detect   detection `yaml:"detect"`
	Excludes []string  `yaml:"excludes"`
	Repeats  []string  `yaml:"repeats"`
	// Calls: log records outside of traces tell of calls.
	Calls  bool              `yaml:"calls_in_logs"`
	Fields map[string][]Rule `yaml:"fields"`
}

// common holds the rules around every dialect's and the translations of values.
type common struct {
	First      map[string][]Rule `yaml:"first"`
	Last       map[string][]Rule `yaml:"last"`
	Operations map[string]string `yaml:"operations"`
	Providers  map[string]string `yaml:"providers"`
}

// load reads the embedded tables in the order in which dialects are asked.
func load() (common, []table, error) {
	var c common
	entries, err := tables.ReadDir("tables")
	if err != nil {
		return c, nil, fmt.Errorf("list dialects: %w", err)
	}
	var list []table
	for _, e := range entries {
		raw, err := tables.ReadFile(path.Join("tables", e.Name()))
		if err != nil {
			return c, nil, fmt.Errorf("read dialect: %w", err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		dec.KnownFields(true)
		if e.Name() == "common.yaml" {
			if err := dec.Decode(&c); err != nil {
				return c, nil, fmt.Errorf("read dialect %s: %w", e.Name(), err)
			}
			continue
		}
		var t table
		if err := dec.Decode(&t); err != nil {
			return c, nil, fmt.Errorf("read dialect %s: %w", e.Name(), err)
		}
		list = append(list, t)
	}
	return c, list, nil
}

// place is a Rule made ready: keys are numbers.
type place struct {
	key    uint16 // 0: none
	sum    []uint16
	json   []string
	values map[string]string
	then   string
	only   string
	name   string
	suffix string
	span   bool
	quoted bool
}

// known is a dialect made ready.
type known struct {
	index     int
	name      string
	rules     [numFields][]place
	noCache   bool // input excludes cached tokens
	visible   bool // output excludes reasoning
	calls     bool // log records tell of calls
	repeats   []string
	names     []string
	suffixes  []string
	valueKey  uint16
	valuePref string
}

// keyInfo is what an attribute's key says by itself.
type keyInfo struct {
	id      uint16
	detects uint32 // bit i: dialect i is known by this key
	forged  bool
}

// book is all the tables made ready. It is never changed.
type book struct {
	keys        map[string]keyInfo
	numKeys     int
	prefixes    []prefixInfo
	scopes      map[string]int
	scopePrefix []scopePrefix
	dialects    []known
	named       uint32 // dialects that are known by a span's name together with a key
	operations  map[string]string
	providers   map[string]string
}

type prefixInfo struct {
	prefix  string
	detects uint32
}

type scopePrefix struct {
	prefix  string
	dialect int
}

// maxDialects bounds the bit set of detection.
const maxDialects = 32

func compile(c common, list []table) (*book, error) {
	if len(list) > maxDialects {
		return nil, fmt.Errorf("compile dialects: %d tables, at most %d", len(list), maxDialects)
	}
	b := &book{
		keys: map[string]keyInfo{}, scopes: map[string]int{}, numKeys: 1,
		operations: c.Operations, providers: c.Providers,
	}
	for _, name := range internalNames() {
		b.keys[name] = keyInfo{forged: true}
	}
	for i := range list {
		if err := b.addDialect(i, &list[i], c); err != nil {
			return nil, fmt.Errorf("compile dialect %s: %w", list[i].Name, err)
		}
	}
	for key, info := range b.keys {
		for _, p := range b.prefixes {
			if info.id != 0 && strings.HasPrefix(key, p.prefix) {
				info.detects |= p.detects
			}
		}
		b.keys[key] = info
	}
	slices.SortStableFunc(b.scopePrefix, func(x, y scopePrefix) int { return len(y.prefix) - len(x.prefix) })
	return b, nil
}

func (b *book) addDialect(i int, t *table, c common) error {
	k := known{
		index: i, name: t.Name, repeats: t.Repeats, calls: t.Calls, names: t.Detect.Names, suffixes: t.Detect.NameSuffixes,
		noCache: slices.Contains(t.Excludes, "cache"), visible: slices.Contains(t.Excludes, "reasoning"),
	}
	names := fieldNames()
	for part := range t.Fields {
		if !slices.Contains(names[:], part) {
			return fmt.Errorf("unknown field %q", part)
		}
	}
	for f, name := range names {
		for _, rules := range [][]Rule{c.First[name], t.Fields[name], c.Last[name]} {
			for _, r := range rules {
				k.rules[f] = append(k.rules[f], b.place(r))
			}
		}
	}
	bit := uint32(1) << i
	for _, key := range t.Detect.Keys {
		b.key(key)
		info := b.keys[key]
		info.detects |= bit
		b.keys[key] = info
	}
	for _, p := range t.Detect.KeyPrefixes {
		b.prefixes = append(b.prefixes, prefixInfo{p, bit})
	}
	for _, s := range t.Detect.Scopes {
		b.scopes[s] = i
	}
	for _, p := range t.Detect.ScopePrefixes {
		b.scopePrefix = append(b.scopePrefix, scopePrefix{p, i})
	}
	for key, prefix := range t.Detect.ValuePrefixes {
		k.valueKey, k.valuePref = b.key(key), prefix
	}
	if len(k.names)+len(k.suffixes) > 0 {
		b.named |= bit
	}
	b.dialects = append(b.dialects, k)
	return nil
}

func (b *book) place(r Rule) place {
	p := place{
		values: r.Values, then: r.Then, only: r.Only, name: r.Name, suffix: r.NameSuffix, span: r.SpanName, quoted: r.Quoted,
	}
	if r.Key != "" {
		p.key = b.key(r.Key)
	}
	for _, key := range r.Sum {
		p.sum = append(p.sum, b.key(key))
	}
	if r.JSON != "" {
		p.json = strings.Split(r.JSON, ".")
	}
	return p
}

// key numbers an attribute's key.
func (b *book) key(name string) uint16 {
	info, ok := b.keys[name]
	if !ok || info.id == 0 {
		info.id = uint16(b.numKeys)
		b.numKeys++
		b.keys[name] = info
	}
	return info.id
}

// scope returns the dialect that the instrumentation scope names, -1 when it names none.
func (b *book) scope(name string) int {
	if name == "" {
		return -1
	}
	if i, ok := b.scopes[name]; ok {
		return i
	}
	for _, p := range b.scopePrefix {
		if strings.HasPrefix(name, p.prefix) {
			return p.dialect
		}
	}
	return -1
}
