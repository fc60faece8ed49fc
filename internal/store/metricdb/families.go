package metricdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/metadata"
)

// Family describes one metric as Prometheus' metadata route gives it.
type Family struct {
	// Type is counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown.
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

const (
	familiesFile = "families.json"
	// maxFamilies bounds the descriptions; those that come later are not kept, their samples are.
	maxFamilies = 20_000
	// maxHelp cuts a description.
	maxHelp = 1024
)

// families keeps what senders say of their metrics: the database itself has no place for it that can be read, and
// Prometheus' own route knows scraped targets only.
type families struct {
	path   string
	byName sync.Map // name → Family
	n      atomic.Int64
	dirty  atomic.Bool
	saving sync.Mutex
}

func openFamilies(dir string) (*families, error) {
	f := &families{path: filepath.Join(dir, familiesFile)}
	raw, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read descriptions of metrics: %w", err)
	}
	var stored map[string]Family
	if err := json.Unmarshal(raw, &stored); err != nil {
		// They come again with the next samples; a damaged file must not keep the samples from being read.
		return f, nil
	}
	for name, family := range stored {
		f.put(name, family)
	}
	f.dirty.Store(false)
	return f, nil
}

// note keeps the description that came with a sample of the series name in the family.
func (f *families) note(series, family string, m metadata.Metadata) {
	if m.Type == "" && m.Help == "" {
		return
	}
	if family == "" {
		family = series
	}
	if known, ok := f.byName.Load(family); ok {
		k := known.(Family)
		if k.Type == string(m.Type) && k.Unit == m.Unit && sameHelp(k.Help, m.Help) {
			return
		}
	}
	// The texts of a scrape are of a buffer that the next one overwrites.
	f.put(strings.Clone(family), Family{
		Type: strings.Clone(string(m.Type)), Help: strings.Clone(cut(m.Help, maxHelp)), Unit: strings.Clone(m.Unit),
	})
}

func sameHelp(kept, sent string) bool { return kept == cut(sent, maxHelp) }

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

func (f *families) put(name string, family Family) {
	if f.n.Load() >= maxFamilies {
		if _, known := f.byName.Load(name); !known {
			return
		}
	}
	if _, had := f.byName.Swap(name, family); !had {
		f.n.Add(1)
	}
	f.dirty.Store(true)
}

func (f *families) all() map[string]Family {
	m := make(map[string]Family)
	f.byName.Range(func(name, family any) bool {
		m[name.(string)] = family.(Family)
		return true
	})
	return m
}

// save writes the descriptions when they changed.
func (f *families) save() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	if !f.dirty.Swap(false) {
		return nil
	}
	raw, err := json.Marshal(f.all())
	if err != nil {
		return fmt.Errorf("encode descriptions of metrics: %w", err)
	}
	tmp := f.path + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o640); err != nil {
		return fmt.Errorf("write descriptions of metrics: %w", err)
	}
	if err := os.Rename(tmp, f.path); err != nil {
		return fmt.Errorf("replace descriptions of metrics: %w", err)
	}
	return nil
}

// Families returns the descriptions of all metrics that came with one, by name.
func (d *DB) Families() map[string]Family { return d.families.all() }
