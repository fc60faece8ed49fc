package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/enrich/cost"
)

func TestPricesWithATypoRefuseTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(path, []byte("prices:\n  - model: m\n    inptu: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(func(string) string { return "" })
	cfg.Memory, cfg.Prices = true, path
	_, err := New(cfg, Build{})
	for _, want := range []string{path, "line 3", "prices[0].inptu", "keys are"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	cfg.Prices = path + ".missing"
	if _, err := New(cfg, Build{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestPricesAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("prices: [{model: mine, input: 1}]")
	o, raw, err := readPrices(path)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := cost.New(nil, cost.Config{Overrides: o})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := &priceFile{path: path, log: slog.New(slog.NewTextHandler(&log, nil)), reload: sink.Reload, seen: raw}
	expect := func(price string, failed bool, fails, reloads int64) {
		t.Helper()
		for range 2 { // a second look at the same file changes nothing
			if err := f.look(); (err != nil) != failed {
				t.Errorf("look: %v", err)
			}
		}
		q, ok := sink.Book().Price("", "mine", time.Now(), cost.Usage{Input: 1_000_000})
		if !ok || q.Total().String() != price || f.failed.Load() != failed || f.fails.Load() != fails || f.reloads.Load() != reloads {
			t.Errorf("price %s, failed %v, %d failures, %d reloads; want %s %v %d %d\n%s",
				q.Total(), f.failed.Load(), f.fails.Load(), f.reloads.Load(), price, failed, fails, reloads, &log)
		}
	}
	expect("1", false, 0, 0)
	write("prices: [{model: mine, input: 2}]")
	expect("2", false, 0, 1)
	write("prices: [{model: mine, inptu: 3}]")
	expect("2", true, 1, 1)
	if err := f.look(); err == nil || !strings.Contains(err.Error(), "line 1: prices[0].inptu") {
		t.Errorf("%v", err)
	}
	write("prices: [{model: mine, input: }]")
	expect("2", true, 2, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("2", true, 3, 1)
	write("prices: [{model: mine, input: 4}]")
	expect("4", false, 3, 2)
}
