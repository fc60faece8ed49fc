package eventdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWarm reopens a store whose calls share their instructions.
func TestWarm(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().Add(-2 * day)
	db := openConfigured(t, dir, Config{})
	for i := range 3 {
		for ago := range 2 {
			at := at.Add(time.Duration(i)*time.Minute - time.Duration(ago)*day)
			put(t, db, callRow(10*ago+i, at, long("instructions of all"+strings.Repeat(" calls", 100)), long(fmt.Sprint("question ", i, ago, strings.Repeat(" why", 200)))))
		}
	}
	mark := filepath.Join(dir, fileWarming)
	reopen := func(marked bool) (kept int) {
		t.Helper()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(mark); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the mark is left: %v", err)
		}
		if marked {
			if err := os.WriteFile(mark, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db = openConfigured(t, dir, Config{})
		return len(db.cached.young)
	}
	want := db.known.len() // a text is stored once a day
	if kept := reopen(false); kept != want || kept < 4 {
		t.Errorf("%d payloads are ready for readers, want %d", kept, want)
	}
	// The process ended while it read: it does not read the same again, but at the start after that it does.
	if kept := reopen(true); kept != 0 {
		t.Errorf("%d payloads were read", kept)
	}
	if kept := reopen(false); kept != want {
		t.Errorf("%d payloads are ready for readers, want %d", kept, want)
	}
}

// TestSumsRest tells how the comparison of files rests while somebody asks.
func TestSumsRest(t *testing.T) {
	db := openConfigured(t, t.TempDir(), Config{})
	alone := db.sums.gently()
	db.asking.Add(1)
	beside := db.sums.gently()
	db.asking.Add(-1)
	if again := db.sums.gently(); beside <= alone || again != alone {
		t.Errorf("it rests %d times as long as it reads, %d while somebody asks, %d after it", alone, beside, again)
	}
}
