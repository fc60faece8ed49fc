package cost

import (
	"crypto/sha256"
	_ "embed" // the price table
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed data/prices.json
var data []byte

// Book knows the prices of models over time. It does not change; a reload makes a new one.
type Book struct {
	version   string
	providers []provider
	byID      map[string]*provider
	overrides []override

	// found keeps the answers of look-ups; senders choose the names, so it is bounded.
	found sync.Map // lookupKey → *finding
	size  atomic.Int64
}

const maxFound = 10_000

type lookupKey struct{ provider, model string }

type provider struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	ModelMatch    clause   `json:"model_match"`
	ProviderMatch clause   `json:"provider_match"`
	Fallback      []string `json:"fallback_model_providers"`
	Models        []model  `json:"models"`

	modelMatch, providerMatch matcher
}

type model struct {
	ID     string   `json:"id"`
	Match  clause   `json:"match"`
	Prices schedule `json:"prices"`

	matcher  matcher
	provider string
}

// NewBook returns the embedded prices with overrides in front of them; nil is none.
func NewBook(o *Overrides) (*Book, error) { return newBook(data, o) }

func newBook(table []byte, o *Overrides) (*Book, error) {
	b := &Book{byID: map[string]*provider{}}
	if err := json.Unmarshal(table, &b.providers); err != nil {
		return nil, fmt.Errorf("read price table: %w", err)
	}
	sum := sha256.New()
	sum.Write(table)
	for i := range b.providers {
		p := &b.providers[i]
		b.byID[p.ID] = p
		if err := p.compile(); err != nil {
			return nil, fmt.Errorf("read price table: provider %s: %w", p.ID, err)
		}
	}
	if o != nil {
		b.overrides = o.list
		sum.Write(o.raw)
	}
	b.version = "p-" + hex.EncodeToString(sum.Sum(nil))[:12]
	return b, nil
}

func (p *provider) compile() error {
	var err error
	if p.ModelMatch != nil {
		if p.modelMatch, err = p.ModelMatch.compile(); err != nil {
			return err
		}
	}
	if p.ProviderMatch != nil {
		if p.providerMatch, err = p.ProviderMatch.compile(); err != nil {
			return err
		}
	}
	for i := range p.Models {
		m := &p.Models[i]
		m.provider = p.ID
		if m.matcher, err = m.Match.compile(); err != nil {
			return fmt.Errorf("model %s: %w", m.ID, err)
		}
	}
	return nil
}

// Version names the prices: a hash of the table and of the overrides.
func (b *Book) Version() string { return b.version }

// Quote is the answer to a question for a price.
type Quote struct {
	Parts
	// Provider and Model are the book's own names of what was priced.
	Provider, Model string
	// Own: the price is an override.
	Own bool
}

// Price returns what a call costs. It returns false when the book does not know the model at that time.
func (b *Book) Price(providerName, modelName string, at time.Time, u Usage) (Quote, bool) {
	f := b.find(providerName, modelName)
	for _, o := range f.overrides {
		if o.holds(at) {
			parts, ok := o.prices.cost(u)
			return Quote{Parts: parts, Provider: o.provider, Model: o.name, Own: true}, ok
		}
	}
	return f.table(at, u)
}

// TablePrice is Price without the overrides.
func (b *Book) TablePrice(providerName, modelName string, at time.Time, u Usage) (Quote, bool) {
	return b.find(providerName, modelName).table(at, u)
}

// finding is what the book has under a name.
type finding struct {
	model     *model // nil: none
	overrides []*override
}

func (f *finding) table(at time.Time, u Usage) (Quote, bool) {
	if f.model == nil {
		return Quote{}, false
	}
	p := f.model.Prices.at(at)
	if p == nil {
		return Quote{}, false
	}
	parts, ok := p.cost(u)
	return Quote{Parts: parts, Provider: f.model.provider, Model: f.model.ID}, ok
}

func (b *Book) find(providerName, modelName string) *finding {
	key := lookupKey{providerName, modelName}
	if f, ok := b.found.Load(key); ok {
		return f.(*finding)
	}
	f := &finding{model: b.search(providerName, modelName), overrides: b.own(providerName, modelName)}
	if b.size.Load() < maxFound {
		if _, loaded := b.found.LoadOrStore(key, f); !loaded {
			b.size.Add(1)
		}
	}
	return f
}

// own returns the overrides for a name, in the order of the file.
func (b *Book) own(providerName, modelName string) []*override {
	if modelName == "" {
		return nil
	}
	providers, names := []string{strings.ToLower(providerName)}, spellings(modelName)
	if p := b.provider(providerName); p != nil {
		providers = append(providers, p.ID)
	}
	var list []*override
	for i := range b.overrides {
		if o := &b.overrides[i]; o.named(providers, names) {
			list = append(list, o)
		}
	}
	return list
}

// search resolves names: the provider that is named, the one in front of the model's name, the one whose models have such
// names.
func (b *Book) search(providerName, modelName string) *model {
	if modelName == "" {
		return nil
	}
	names := spellings(modelName)
	for _, name := range names {
		if p := b.provider(providerName); p != nil {
			if m := b.within(p, name); m != nil {
				return m
			}
		}
	}
	// "mistral/mistral-small-latest", "bedrock/us.anthropic.…": the gateway's prefix names the provider.
	if prefix, rest, ok := strings.Cut(modelName, "/"); ok {
		if p := b.provider(prefix); p != nil {
			for _, name := range spellings(rest) {
				if m := b.within(p, name); m != nil {
					return m
				}
			}
		}
	}
	for _, name := range names {
		for i := range b.providers {
			p := &b.providers[i]
			if p.modelMatch != nil && p.modelMatch.match(name) {
				if m := b.within(p, name); m != nil {
					return m
				}
			}
		}
	}
	return nil
}

// spellings returns the ways in which a model's name may stand in the table: as it is, without the path of a cloud's
// resource, and in lower case.
func spellings(name string) []string {
	list := []string{name}
	if i := strings.LastIndex(name, "/models/"); i >= 0 {
		list = append(list, name[i+len("/models/"):])
	}
	if rest, ok := strings.CutPrefix(name, "models/"); ok {
		list = append(list, rest)
	}
	if rest, ok := strings.CutPrefix(name, "gpt://"); ok { // gpt://folder/yandexgpt-lite/latest
		if _, model, ok := strings.Cut(rest, "/"); ok {
			list = append(list, model)
		}
	}
	if lower := strings.ToLower(list[len(list)-1]); lower != list[len(list)-1] {
		list = append(list, lower)
	}
	return list
}

func (b *Book) within(p *provider, name string) *model {
	for i := range p.Models {
		if p.Models[i].matcher.match(name) {
			return &p.Models[i]
		}
	}
	for _, id := range p.Fallback {
		if f := b.byID[id]; f != nil {
			for i := range f.Models {
				if f.Models[i].matcher.match(name) {
					return &f.Models[i]
				}
			}
		}
	}
	return nil
}

// provider finds the table's provider for a name of the conventions, of a framework or of the table itself.
func (b *Book) provider(name string) *provider {
	name = strings.ToLower(name)
	switch name {
	case "":
		return nil
	case "azure.ai.openai", "azure.ai.inference", "azure_ai":
		name = "azure"
	case "x_ai":
		name = "x-ai"
	case "mistral_ai":
		name = "mistral"
	case "fireworks_ai", "fireworks-ai":
		name = "fireworks"
	}
	if p := b.byID[name]; p != nil {
		return p
	}
	for i := range b.providers {
		p := &b.providers[i]
		if p.providerMatch != nil && p.providerMatch.match(name) {
			return p
		}
	}
	return nil
}
