package eventdb

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"github.com/mindscope/mindscope/internal/store"
)

func sampleRecord() *logRecord {
	row := encoded{time: -5, streams: 2}
	row.add(colKind, "span")
	row.add(colService, "writer")
	row.add(colID, "=1")
	row.add("attr.a", "\x00\xff text")
	other := encoded{time: 1 << 60, streams: 1}
	other.add(colKind, "payload")
	other.add("attr.a", "")
	return &logRecord{
		typ: recordBatch, project: "newsroom", tenant: logstorage.TenantID{ProjectID: 7},
		events: []encoded{row, other, row}, payloads: []encoded{other},
	}
}

func mustEncode(t testing.TB, r *logRecord) []byte {
	t.Helper()
	b, err := (&recordEncoder{}).encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordRoundTrip(t *testing.T) {
	want := sampleRecord()
	got, err := decodeRecord(mustEncode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(logRecord{}, encoded{}, payload{}, ref{})); diff != "" {
		t.Error(diff)
	}
}

// FuzzRecord decodes anything: what can be decoded encodes to something that decodes to the same.
func FuzzRecord(f *testing.F) {
	f.Add(mustEncode(f, sampleRecord()), false)
	f.Add(mustEncode(f, &logRecord{typ: recordBatch}), false)
	f.Add(mustEncode(f, &logRecord{typ: recordRewrite}), false)
	f.Add([]byte{recordVersion, byte(recordBatch), 0, 0, 0, 1, 0, 0, 200}, true)
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		if raw {
			data = s2.EncodeSnappy(nil, data)
		}
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		again, err := decodeRecord(mustEncode(t, r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(logRecord{}, encoded{}, payload{}, ref{})); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzFrames puts anything between two whole frames: both are found, and everything between them is frames or damage.
func FuzzFrames(f *testing.F) {
	crc := crc32.MakeTable(crc32.Castagnoli)
	f.Add([]byte{})
	f.Add([]byte(frameMark + "\x05\x00\x00\x00"))
	f.Add(appendFrame(nil, crc, 1, []byte("one")))
	f.Fuzz(func(t *testing.T, between []byte) {
		const last = ^uint64(0)
		data := append(make([]byte, segmentHeader), appendFrame(nil, crc, 1, []byte("first"))...)
		data = append(data, between...)
		data = appendFrame(data, crc, last, []byte("last"))
		var numbers []uint64
		bytesSeen := int64(segmentHeader)
		damaged, err := eachFrame("f", data, 0, func(n uint64, r []byte) error {
			numbers = append(numbers, n)
			bytesSeen += int64(frameHeader + len(r))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range damaged {
			bytesSeen += d.end - d.start
		}
		if bytesSeen != int64(len(data)) || numbers[0] != 1 {
			t.Fatalf("saw %d of %d bytes, records %v", bytesSeen, len(data), numbers)
		}
		if n := numbers[len(numbers)-1]; n != last && !bytes.Contains(between, []byte(frameMark)) {
			t.Fatalf("the last frame was not found: %v", numbers)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add((&checkpoint{engine: 1, observed: 2}).encode())
	for packing, packed := range map[byte]string{statePlain: "state", statePacked: "\x05\x10state", 9: "of a later release"} {
		f.Add((&checkpoint{engine: 1 << 50, observed: 2, packing: packing, packed: []byte(packed)}).encode())
	}
	f.Add(packedCheckpoint(f, "state").encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCheckpoint(data)
		if err != nil {
			return
		}
		again, err := decodeCheckpoint(c.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again, cmp.AllowUnexported(checkpoint{})); diff != "" {
			t.Error(diff)
		}
		if _, err := c.state(); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Error(err)
		}
	})
}

func packedCheckpoint(t testing.TB, state string) *checkpoint {
	t.Helper()
	c := &checkpoint{}
	err := c.pack(func(w io.Writer) error {
		_, err := io.WriteString(w, state)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStateComesBack reads states as this and earlier releases wrote them.
func TestStateComesBack(t *testing.T) {
	long := strings.Repeat("a state of many blocks ", 100_000)
	for _, c := range []struct {
		name string
		from *checkpoint
		want string
	}{
		{"none", &checkpoint{}, ""},
		{"plain", &checkpoint{packing: statePlain, packed: []byte("state")}, "state"},
		{"packed", &checkpoint{packing: statePacked, packed: s2.EncodeSnappyBetter(nil, []byte("state"))}, "state"},
		{"stream", packedCheckpoint(t, long), long},
		{"empty stream", packedCheckpoint(t, ""), ""},
	} {
		got, err := decodeCheckpoint(c.from.encode())
		if err != nil {
			t.Fatal(err)
		}
		state, err := got.state()
		if err != nil || string(state) != c.want {
			t.Errorf("%s: %d bytes, %v", c.name, len(state), err)
		}
	}
}
