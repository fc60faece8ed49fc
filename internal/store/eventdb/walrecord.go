package eventdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/klauspost/compress/s2"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// recordVersion is the version of the records of the log. A higher one is refused.
const recordVersion = 1

// maxRecordLen bounds a record before compression. A request is far smaller: receivers take 64 MiB by default.
const maxRecordLen = 1 << 30

// recordType says what a record holds. The numbers are on disk.
type recordType byte

const (
	// recordBatch is what one Write stored.
	recordBatch recordType = 1
	// recordRewrite is the same, of rows that take the place of others: the Observer was told of those.
	recordRewrite recordType = 2
)

// logRecord is one entry of the write-ahead log. docs/format/eventdb.md describes its bytes.
type logRecord struct {
	typ     recordType
	project signal.Project
	tenant  logstorage.TenantID

	// New rows, and the payloads of theirs that were not stored yet.
	events, payloads []encoded
}

var errRecord = errors.New("malformed log record")

// recordEncoder turns records into bytes. Names of columns are written once per record. It is not safe for concurrent
// use; its buffers are used again.
type recordEncoder struct {
	buf, packed []byte
	names       map[string]uint64
	// order has the names by their numbers, from 1 on. last is the number of the name that was written last, 0 for none.
	order []numberedName
	last  uint64
}

// numberedName is a name that a record has already.
type numberedName struct {
	name string
	// next is the number of the name that stood behind it the last time, 0 when there was none: most rows have the same
	// names in the same order.
	next uint64
}

// maxKeptRecord bounds the buffers that an encoder keeps for the next record.
const maxKeptRecord = 4 << 20

// encode returns the record's compressed bytes, which are valid until the next call.
func (e *recordEncoder) encode(r *logRecord) ([]byte, error) {
	e.reset()
	b := e.buf[:0]
	b = append(b, recordVersion, byte(r.typ))
	b = binary.AppendUvarint(b, uint64(r.tenant.AccountID))
	b = binary.AppendUvarint(b, uint64(r.tenant.ProjectID))
	b = appendText(b, string(r.project))
	b = e.rows(b, r.payloads)
	b = e.rows(b, r.events)
	e.keep(b)
	if len(b) > maxRecordLen {
		return nil, fmt.Errorf("log record of %d bytes: %d are allowed", len(b), maxRecordLen)
	}
	packed := s2.EncodeSnappy(e.packed[:cap(e.packed)], b)
	if cap(packed) <= 2*maxKeptRecord {
		e.packed = packed
	}
	return packed, nil
}

// keep keeps a buffer for the next record, unless it is out of all proportion.
func (e *recordEncoder) keep(b []byte) {
	e.buf = b
	if cap(b) > maxKeptRecord {
		e.buf = nil
	}
}

func (e *recordEncoder) rows(b []byte, rows []encoded) []byte {
	b = binary.AppendUvarint(b, uint64(len(rows)))
	for i := range rows {
		r := &rows[i]
		b = binary.AppendVarint(b, r.time)
		b = binary.AppendUvarint(b, uint64(r.streams))
		b = binary.AppendUvarint(b, uint64(len(r.fields)))
		for _, f := range r.fields {
			b = e.name(b, f.Name)
			b = appendText(b, f.Value)
		}
	}
	return b
}

// reset forgets the names. It must keep no request alive.
func (e *recordEncoder) reset() {
	if e.names == nil {
		e.names = map[string]uint64{}
	}
	clear(e.names)
	clear(e.order)
	e.order, e.last = append(e.order[:0], numberedName{}), 0
}

// name writes 0 and the name where it is new to the record, else its number.
func (e *recordEncoder) name(b []byte, name string) []byte {
	n := e.order[e.last].next
	if n == 0 || e.order[n].name != name {
		n = e.names[name]
	}
	isNew := n == 0
	if isNew {
		n = uint64(len(e.order))
		e.names[name] = n
		e.order = append(e.order, numberedName{name: name})
	}
	e.order[e.last].next = n
	e.last = n
	if isNew {
		return appendText(append(b, 0), name)
	}
	return binary.AppendUvarint(b, n)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeRecord reverses encode. The texts of the result share one copy of the record's memory.
func decodeRecord(compressed []byte) (*logRecord, error) {
	n, err := s2.DecodedLen(compressed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	// Snappy makes nothing smaller than a 64th or so: a length beyond that is no length.
	if n > maxRecordLen || n > 64*len(compressed)+1024 {
		return nil, fmt.Errorf("%w: length %d", errRecord, n)
	}
	raw, err := s2.Decode(nil, compressed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	d := recordDecoder{rest: string(raw)}
	r := d.record()
	if d.err == nil && d.rest != "" {
		d.fail("bytes after its end")
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

// recordDecoder reads a record front to back; after the first error it reads nothing more.
type recordDecoder struct {
	rest  string
	names []string
	err   error
}

func (d *recordDecoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errRecord, what)
	}
	d.rest = ""
}

func (d *recordDecoder) record() *logRecord {
	r := &logRecord{}
	if len(d.rest) < 2 {
		d.fail("no header")
		return r
	}
	version := d.rest[0]
	r.typ = recordType(d.rest[1])
	d.rest = d.rest[2:]
	if version > recordVersion {
		d.err = fmt.Errorf("%w: log record of version %d, this release knows %d", store.ErrNewer, version, recordVersion)
		return r
	}
	r.tenant = logstorage.TenantID{AccountID: uint32(d.count(1 << 32)), ProjectID: uint32(d.count(1 << 32))}
	r.project = signal.Project(d.text())
	if r.typ != recordBatch && r.typ != recordRewrite {
		d.fail(fmt.Sprintf("type %d", r.typ))
	}
	r.payloads = d.rows()
	r.events = d.rows()
	return r
}

func (d *recordDecoder) rows() []encoded {
	n := d.items(3)
	rows := make([]encoded, 0, min(n, 1024))
	for range n {
		row := encoded{time: d.varint()}
		streams, fields := d.items(0), d.items(2)
		if streams > fields {
			d.fail("more stream fields than fields")
		}
		if d.err != nil {
			return nil
		}
		row.streams = streams
		row.fields = make([]logstorage.Field, fields)
		for i := range row.fields {
			row.fields[i].Name = d.name()
			row.fields[i].Value = d.text()
		}
		rows = append(rows, row)
	}
	return rows
}

func (d *recordDecoder) name() string {
	n := d.count(uint64(len(d.names)) + 1)
	if n > 0 {
		return d.names[n-1]
	}
	name := d.text()
	d.names = append(d.names, name)
	return name
}

// items reads a number of items of at least so many bytes each: there can't be more than the rest has room for.
func (d *recordDecoder) items(size int) int {
	if size == 0 {
		return int(d.count(1 << 20))
	}
	return int(d.count(uint64(len(d.rest)/size) + 1))
}

// count reads a number below limit.
func (d *recordDecoder) count(limit uint64) uint64 {
	n, used := binary.Uvarint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if used <= 0 || n >= limit {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[used:]
	return n
}

func (d *recordDecoder) varint() int64 {
	n, used := binary.Varint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if used <= 0 {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[used:]
	return n
}

func (d *recordDecoder) text() string {
	n := d.count(uint64(len(d.rest)) + 1)
	if n > uint64(len(d.rest)) {
		d.fail("text")
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
