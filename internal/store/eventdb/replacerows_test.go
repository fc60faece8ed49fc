package eventdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
)

func oddRows() []store.Row {
	r := store.Row{Kind: store.KindTask, ID: "\xff", Time: -5}
	for i, v := range []store.Value{
		{},
		store.String(""), store.String("a\xffb"), store.Bool(true), store.Bool(false), store.Int(math.MinInt64), store.Int(math.MaxInt64),
		store.Double(math.Copysign(0, -1)), store.Double(math.NaN()), store.Double(math.Float64frombits(0x7ff8000000000123)), store.Double(math.Inf(-1)),
		store.Bytes("\x00\xff"), store.SliceJSON(`[1]`), store.MapJSON("no JSON"),
	} {
		r.Add(fmt.Sprint("attr.", i%12), v)
	}
	return []store.Row{r, {}, {Kind: store.KindTask, ID: "2", Time: math.MaxInt64, Fields: []store.Field{{Name: "\xfe", Value: store.Int(1)}}}}
}

func TestRowsOfReplacements(t *testing.T) {
	same := cmp.Comparer(func(a, b store.Value) bool { return a == b })
	for _, rows := range [][]store.Row{oddRows(), nil} {
		got, err := decodeRows(encodeRows(rows))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(rows) {
			t.Fatalf("%d rows of %d", len(got), len(rows))
		}
		for i := range rows {
			if got[i].Fields = append([]store.Field(nil), got[i].Fields...); !cmp.Equal(got[i], rows[i], same) {
				t.Errorf("row %d became %+v", i, got[i])
			}
		}
	}
	whole := encodeRows(oddRows())
	for i := range whole {
		bent := append([]byte(nil), whole...)
		bent[i] ^= 4
		if _, err := decodeRows(bent); !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewer) {
			t.Fatalf("byte %d bent: %v", i, err)
		}
		if _, err := decodeRows(whole[:i]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// FuzzRowsOfReplacements decodes anything: what can be decoded encodes to something that decodes to the same.
func FuzzRowsOfReplacements(f *testing.F) {
	f.Add(encodeRows(oddRows()))
	f.Add(encodeRows(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < replaceHeader+4 {
			return
		}
		data := sealed(body[:len(body)-4])
		rows, err := decodeRows(data)
		if err != nil {
			return
		}
		again, err := decodeRows(encodeRows(rows))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, again, cmp.Comparer(func(a, b store.Value) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
}

// sealed adds the checksum.
func sealed(b []byte) []byte {
	b = append([]byte(nil), b...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
