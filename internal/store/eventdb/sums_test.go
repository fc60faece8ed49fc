package eventdb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/store"
)

// TestFlippedBits bends one bit in each file of the engine, one after the other: the store does not open, and says which file
// it is. Mended, it opens and has all rows.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	want := []store.Row{
		span("t", "1", base, field("attr.prompt", store.String(strings.Repeat("a long prompt ", 100)))),
		span("t", "2", base+1, field("attr.note", store.String("a short note"))),
	}
	add(t, db, want...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "partitions", "*", "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, path := range files {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) == 0 {
			continue
		}
		bent := append([]byte{}, whole...)
		bent[len(bent)/2] ^= 1 << (flipped % 8)
		flipped++
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, Config{Retention: maxRetention, PayloadRetention: maxRetention})
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is bent: %v", path, err)
		}
		if err == nil {
			_ = again.Close() // it should not have been opened
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped < 20 {
		t.Fatalf("only %d files were bent", flipped)
	}
	sameRows(t, selectAll(t, openWith(t, dir, Config{}), store.Select{Order: store.OldestFirst}), want)
}

// TestFlippedBitsOfOldParts: what is compared beside readers ends their answers.
func TestFlippedBitsOfOldParts(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	add(t, db, span("t", "1", base))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openWith(t, dir, Config{})
	files, err := filepath.Glob(filepath.Join(dir, dirEvents, "partitions", "*", "datadb", "*", "metadata.json")) // read at start only
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	bent, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	bent[len(bent)-1] ^= 1
	if err := os.WriteFile(files[0], bent, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.sums.verifyRest(t.Context(), again.sums.listParts()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("compared: %v", err)
	}
	if _, err := again.Stats(t.Context()); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), files[0]) {
		t.Errorf("a reader is told %v", err)
	}
}
