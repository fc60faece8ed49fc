package cost

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/corpus"
)

// usageBlock is one entry of the recorded usages: what a provider's response said and what it must cost.
type usageBlock struct {
	Model     string `json:"model"`
	Extracted []struct {
		Extractors []struct {
			ProviderID string `json:"provider_id"`
			Input      string `json:"input_price"`
			Output     string `json:"output_price"`
			Total      string `json:"total_price"`
		} `json:"extractors"`
		Usage map[string]int64 `json:"usage"`
	} `json:"extracted"`
}

// pricedAt is a time at which the recorded prices were computed.
func pricedAt() time.Time { return time.Date(2026, 7, 20, 12, 0, 0, 0, time.UTC) }

// readUsages reads the recorded usages and the table that priced them; without the samples, the extracts in testdata.
// Recorded usages without a table beside them are priced by the embedded one.
func readUsages(t *testing.T) (blocks []usageBlock, table []byte) {
	t.Helper()
	path, beside := filepath.Join("testdata", "usages.json"), "table.json"
	if root, err := corpus.Root(); err == nil {
		path, beside = filepath.Join(root, "llm-http", "genai-prices", "usages.json"), "prices-data-v2.json"
	} else if !errors.Is(err, corpus.ErrAbsent) {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	table, err = os.ReadFile(filepath.Join(filepath.Dir(path), beside))
	if errors.Is(err, os.ErrNotExist) {
		return blocks, data
	}
	if err != nil {
		t.Fatal(err)
	}
	return blocks, table
}

func TestRecordedUsages(t *testing.T) {
	blocks, table := readUsages(t)
	book, err := newBook(table, nil)
	if err != nil {
		t.Fatal(err)
	}
	priced, wrong := 0, 0
	for _, b := range blocks {
		for _, e := range b.Extracted {
			for _, x := range e.Extractors {
				if x.Input == "" {
					continue
				}
				priced++
				q, ok := book.Price(x.ProviderID, b.Model, pricedAt(), usageOf(e.Usage))
				if !ok || q.Input() != picoOf(t, x.Input) || q.Output() != picoOf(t, x.Output) {
					if wrong++; wrong < 20 {
						t.Errorf("%s %s %v: %v/%v (%s), want %s/%s", x.ProviderID, b.Model, e.Usage, q.Input(), q.Output(), q.Model, x.Input, x.Output)
					}
				}
			}
		}
	}
	if priced < 20 {
		t.Errorf("only %d priced entries", priced)
	}
	t.Logf("%d priced entries, %d wrong", priced, wrong)
}

func usageOf(m map[string]int64) Usage {
	return Usage{
		Input: m["input_tokens"], Output: m["output_tokens"], Reasoning: m["output_reasoning_tokens"],
		CacheRead: m["cache_read_tokens"], CacheWrite: m["cache_write_tokens"], CacheWrite1h: m["cache_write_1h_tokens"],
		InputAudio: m["input_audio_tokens"], InputImage: m["input_image_tokens"], InputVideo: m["input_video_tokens"],
		OutputAudio: m["output_audio_tokens"], OutputImage: m["output_image_tokens"], OutputVideo: m["output_video_tokens"],
		CacheReadAudio: m["cache_audio_read_tokens"], CacheReadImage: m["cache_image_read_tokens"], CacheReadVideo: m["cache_video_read_tokens"],
	}
}

// picoOf rounds dollars to the nearest pico-dollar: expected prices carry the noise of a float's digits.
func picoOf(t *testing.T, dollars string) Pico {
	t.Helper()
	r, ok := new(big.Rat).SetString(dollars)
	if !ok {
		t.Fatalf("price %q", dollars)
	}
	r.Mul(r, big.NewRat(1e12, 1)).Add(r, big.NewRat(1, 2))
	return Pico(new(big.Int).Div(r.Num(), r.Denom()).Int64())
}
