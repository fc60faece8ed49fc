package eventdb

import (
	"fmt"
	"testing"
	"time"
)

// TestRecentForgetsWhatCanBeFound: an id is dropped only when the engine would be asked with success.
func TestRecentForgetsWhatCanBeFound(t *testing.T) {
	const most, minute = 16, int64(time.Minute)
	r := newRecent(most)
	r.floor = 0
	findable := int32(5)
	r.before = func() int32 { return findable }
	claim := func(n int, at int64, came int32) (verdict, bool) {
		t.Helper()
		c, forgot := r.claim(keyOf("p", "span", fmt.Sprint(n)), at, 0, came)
		return c.verdict, forgot
	}
	all := func(from, to int, at int64, came int32) (forgot bool) {
		t.Helper()
		for n := from; n < to; n++ {
			v, f := claim(n, at, came)
			if v != fresh {
				t.Fatalf("id %d is not new but %v", n, v)
			}
			forgot = forgot || f
		}
		return forgot
	}
	// More ids than there may be, all of one minute and of batches that are under way: none may go.
	if all(0, 2*most, minute, 5) {
		t.Error("an id was forgotten while it was under way")
	}
	for n := range 2 * most {
		if v, _ := claim(n, minute, 6); v != repeat {
			t.Fatalf("id %d was forgotten while it was under way: %v", n, v)
		}
	}
	// When they can be found they go, and are asked for.
	findable = 7
	if !all(100, 100+most, 9*minute, 7) {
		t.Error("nothing is said to be forgotten")
	}
	if len(r.ids) > most+most/8 {
		t.Errorf("%d ids are kept", len(r.ids))
	}
	if v, _ := claim(0, minute, 7); v != unsure {
		t.Errorf("a forgotten id is %v", v)
	}
	if v, _ := claim(100, 9*minute, 7); v != repeat {
		t.Errorf("a young id is %v", v)
	}
	for m, n := range r.minutes {
		if n <= 0 {
			t.Errorf("minute %d counts %d", m, n)
		}
	}
}

// TestFindable tells which batches' rows the engine has for readers.
func TestFindable(t *testing.T) {
	f := inFlight{opened: time.Now().Add(-time.Hour)}
	if at := f.findable(); at != 3600-engineLag {
		t.Errorf("without a batch: %d", at)
	}
	long, short := &batch{}, &batch{}
	f.begin(long)
	f.begin(short)
	long.began = 1000
	if at := f.findable(); at != 1000 {
		t.Errorf("beside a batch of long ago: %d", at)
	}
	f.end(long, false)
	f.end(short, false)
	release := f.hold()
	f.opened = f.opened.Add(-time.Hour)
	if at := f.findable(); at != 3600 {
		t.Errorf("while rows are replaced: %d", at)
	}
	release()
	f.opened = f.opened.Add(time.Hour)
	if at := f.findable(); at != 3600-engineLag {
		t.Errorf("after them: %d", at)
	}
}
