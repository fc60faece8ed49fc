// Package corpus reads recorded telemetry that nobody of this project wrote and turns it into OTLP, so that tests can
// send it through the enrich steps or through a running server and compare with what FACTS.json says of each file.
//
// The folder is MINDSCOPE_SAMPLES, else ../shared/samples seen from the repository's root.
package corpus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tokens are sums over spans; input includes cached tokens and output includes reasoning.
type Tokens struct {
	Input      int64   `json:"input"`
	Output     int64   `json:"output"`
	CacheRead  int64   `json:"cache_read"`
	CacheWrite int64   `json:"cache_write"`
	Reasoning  int64   `json:"reasoning"`
	Cost       float64 `json:"cost"`
}

// Facts is what may be asserted of one recording.
type Facts struct {
	Format     string         `json:"format"`
	Group      string         `json:"group"`
	Spans      int            `json:"spans"`
	Traces     int            `json:"traces"`
	Roots      int            `json:"roots"`
	LLMSpans   int            `json:"llm_spans"`
	LLMCalls   int            `json:"llm_leaf_spans"`
	AgentSpans int            `json:"agent_spans"`
	Agents     []string       `json:"agent_names"`
	Models     []string       `json:"models"`
	Errors     []string       `json:"error_spans"`
	ToolCalls  map[string]int `json:"tool_calls"`
	Tokens     *Tokens        `json:"tokens_recommended"`
}

// Recording is one file of spans and its facts.
type Recording struct {
	// Path is relative to the samples' folder.
	Path  string
	Facts Facts
	root  string
}

// Read returns the file's bytes.
func (r Recording) Read() ([]byte, error) { return os.ReadFile(filepath.Join(r.root, r.Path)) }

// ErrAbsent means that there is no folder of samples.
var ErrAbsent = errors.New("no folder of samples: set MINDSCOPE_SAMPLES")

// Root returns the folder of the samples. It returns ErrAbsent when there is none.
func Root() (string, error) {
	if dir := os.Getenv("MINDSCOPE_SAMPLES"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "FACTS.json")); err != nil {
			return "", fmt.Errorf("%w: %w", ErrAbsent, err)
		}
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find samples: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "conv", "registry.yaml")); err == nil {
			samples := filepath.Join(dir, "..", "shared", "samples")
			if _, err := os.Stat(filepath.Join(samples, "FACTS.json")); err != nil {
				return "", ErrAbsent
			}
			return samples, nil
		}
	}
	return "", ErrAbsent
}

// Recordings lists the files of spans below root in FACTS.json, by path.
func Recordings(root string) ([]Recording, error) {
	raw, err := os.ReadFile(filepath.Join(root, "FACTS.json"))
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	files := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &files); err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	var recs []Recording
	for path, raw := range files {
		if !strings.HasPrefix(path, "otlp/") {
			continue
		}
		var f Facts
		// Conversation logs have facts of another shape; they are no recordings of spans.
		if err := json.Unmarshal(raw, &f); err != nil || f.Tokens == nil {
			continue
		}
		recs = append(recs, Recording{Path: path, Facts: f, root: root})
	}
	slices.SortFunc(recs, func(a, b Recording) int { return strings.Compare(a.Path, b.Path) })
	return recs, nil
}
