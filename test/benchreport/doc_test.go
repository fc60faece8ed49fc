package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestPage(t *testing.T) {
	dir := fstest.MapFS{
		"b.json": {Data: []byte(`{"machine": "x", "rows_s": 1234567.5, "ratio": 3.1, "cpu_s": 2}`)},
		"b.yaml": {Data: []byte(`{title: Second, order: 2, how: By hand., rows: [
			{key: rows_s, what: rows, unit: rows/s, at_least: 1000},
			{key: ratio, what: beside the peer, unit: "×", at_most: 3},
			{key: cpu_s, what: all CPU, unit: s}]}`)},
		"c.yaml": {Data: []byte(`{title: Third, order: 3, how: Not at all., rows: [{key: n}]}`)},
		"a.json": {Data: []byte(`{"n": -1200}`)},
		"a.yaml": {Data: []byte(`{title: First, order: 1, how: Somehow., rows: [{key: n, what: number, at_most: 0}]}`)},
	}
	got, err := page(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := pageHead + `
## First

Somehow.

| what | measured | must reach | |
|---|---|---|---|
| number (` + "`n`" + `) | -1 200 | ≤ 0 | met |

## Second

By hand.

Machine: x.

| what | measured | must reach | |
|---|---|---|---|
| rows (` + "`rows_s`" + `) | 1 234 567.5 rows/s | ≥ 1 000 rows/s | met |
| beside the peer (` + "`ratio`" + `) | 3.1× | ≤ 3× | **not met** |
| all CPU (` + "`cpu_s`" + `) | 2 s |  |  |

## Third

Not at all.

No figures are kept yet.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPageOfWrongSheets(t *testing.T) {
	f := func(figures, sheet, want string) {
		t.Helper()
		dir := fstest.MapFS{"a.yaml": {Data: []byte(sheet)}, "a.json": {Data: []byte(figures)}}
		if _, err := page(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", sheet, err, want)
		}
	}
	f(`{}`, `{rows: [{key: gone}]}`, `a.json has no number "gone"`)
	f(`{"a": "text"}`, `{rows: [{key: a}]}`, `has no number "a"`)
	f(`{}`, `{colour: red}`, "colour")
	f(`[]`, `{}`, "read figures a.json")
}

func TestTable(t *testing.T) {
	f := func(figures, want, wantErr string) {
		t.Helper()
		dir := fstest.MapFS{
			"a.json": {Data: []byte(figures)},
			"a.yaml": {Data: []byte(`{title: First, how: Somehow., rows: [{key: ratio, what: beside the peer, unit: "×", at_most: 3}, {key: s, what: time, unit: s}]}`)},
		}
		var out strings.Builder
		err := table(&out, dir, "a")
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: %v", figures, err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	}
	f(`{"ratio": 2, "s": 1}`, "First            measured  must reach  \nbeside the peer  2×        ≤ 3×        met\ntime             1 s                   \n", "")
	missed := "First            measured  must reach  \nbeside the peer  4×        ≤ 3×        NOT MET\ntime             1 s                   \n"
	f(`{"ratio": 4, "s": 1}`, missed, "1 of the figures of a do not reach")
	f(`{"ratio": 4, "s": 1, "size": "small"}`, missed+"A quick look: what must be reached is for the full size, on a machine that does nothing else.\n", "")
	f(`{"ratio": 4}`, "", `no number "s"`)
}
