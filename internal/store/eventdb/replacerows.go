package eventdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// dirReplacing holds a file for each replacement that is not done: the rows that it writes.
	dirReplacing   = "replacing"
	replaceSuffix  = ".rows"
	replaceMagic   = "MSCOPERR"
	replaceHeader  = len(replaceMagic) + 4
	replaceVersion = 1
)

// keptRows are the files of rows of replacements. The rows are nowhere else from when the stored ones are removed until
// the new ones are written. They are gone from here when the replacement is done: what lay here longer would be out of
// reach for later deletions.
type keptRows struct{ dir string }

func (k keptRows) path(id string) string {
	return filepath.Join(k.dir, filepath.Base(id)+replaceSuffix)
}

// put writes the rows of a replacement; they are on disk when it returns.
func (k keptRows) put(id string, rows []store.Row) error {
	if err := os.MkdirAll(k.dir, 0o750); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(k.dir)); err != nil {
		return err
	}
	return writeFile(k.path(id), encodeRows(rows))
}

// get returns the rows of a replacement, an error that wraps fs.ErrNotExist when there are none.
func (k keptRows) get(id string) ([]store.Row, error) {
	data, err := os.ReadFile(k.path(id))
	if err != nil {
		return nil, err
	}
	rows, err := decodeRows(data)
	if err != nil {
		err = signal.WithHint(fmt.Errorf("%s: %w", k.path(id), err),
			"put the file back as it was; without it, the rows that a scrub was about to rewrite are lost as far as it had removed them")
	}
	return rows, err
}

// has tells whether there are rows of a replacement.
func (k keptRows) has(id string) bool {
	_, err := os.Stat(k.path(id))
	return err == nil
}

// remove forgets the rows of a replacement.
func (k keptRows) remove(id string) error {
	if err := os.Remove(k.path(id)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncFolder(k.dir)
}

// sweep removes what belongs to none of these replacements: a crash came before it was written down, or after it was done.
func (k keptRows) sweep(pending []*tombstone) error {
	files, err := os.ReadDir(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	keep := map[string]bool{}
	for _, t := range pending {
		keep[filepath.Base(k.path(t.ID))] = true
	}
	for _, f := range files {
		if !keep[f.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(k.dir, f.Name())))
		}
	}
	return err
}

// encodeRows returns the bytes that docs/format/eventdb.md describes. They keep every value exactly.
func encodeRows(rows []store.Row) []byte {
	var e recordEncoder
	e.reset()
	b := binary.LittleEndian.AppendUint32([]byte(replaceMagic), replaceVersion)
	b = binary.AppendUvarint(b, uint64(len(rows)))
	for i := range rows {
		r := &rows[i]
		b = e.name(b, string(r.Kind))
		b = appendText(b, r.ID)
		b = binary.AppendVarint(b, r.Time)
		b = binary.AppendUvarint(b, uint64(len(r.Fields)))
		for _, f := range r.Fields {
			b = e.name(b, f.Name)
			b = appendValue(b, f.Value)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func appendValue(b []byte, v store.Value) []byte {
	b = append(b, typeLetters[v.Type()])
	switch v.Type() {
	case store.TypeInt:
		return binary.AppendVarint(b, v.Int())
	case store.TypeBool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case store.TypeDouble:
		f, _ := v.Number()
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	case store.TypeEmpty:
		return b
	default:
		return appendText(b, v.Text())
	}
}

// decodeRows reverses encodeRows.
func decodeRows(data []byte) ([]store.Row, error) {
	if len(data) < replaceHeader+4 || !bytes.HasPrefix(data, []byte(replaceMagic)) {
		return nil, fmt.Errorf("%w: no rows of a replacement", store.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[len(replaceMagic):]); v > replaceVersion {
		return nil, fmt.Errorf("%w: rows of a replacement of version %d, this release knows %d", store.ErrNewer, v, replaceVersion)
	}
	body := data[:len(data)-4]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(data[len(body):]) {
		return nil, fmt.Errorf("%w: wrong checksum", store.ErrCorrupt)
	}
	d := recordDecoder{rest: string(body[replaceHeader:])}
	rows := d.storeRows()
	if d.err == nil && d.rest != "" {
		d.fail("bytes after its end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, d.err)
	}
	return rows, nil
}

func (d *recordDecoder) storeRows() []store.Row {
	n := d.items(4)
	rows := make([]store.Row, 0, min(n, 1024))
	for range n {
		r := store.Row{Kind: store.Kind(d.name()), ID: d.text(), Time: d.varint()}
		fields := d.items(2)
		if d.err != nil {
			return nil
		}
		r.Fields = make([]store.Field, fields)
		for i := range r.Fields {
			r.Fields[i] = store.Field{Name: d.name(), Value: d.value()}
		}
		rows = append(rows, r)
	}
	return rows
}

func (d *recordDecoder) value() store.Value {
	t, ok := typeOfLetter(d.take(1)[0])
	if !ok {
		d.fail("type of a value")
		return store.Value{}
	}
	switch t {
	case store.TypeInt:
		return store.Int(d.varint())
	case store.TypeBool:
		return store.Bool(d.take(1)[0] != 0)
	case store.TypeDouble:
		return store.Double(math.Float64frombits(binary.LittleEndian.Uint64([]byte(d.take(8)))))
	case store.TypeString:
		return store.String(d.text())
	case store.TypeBytes:
		return store.Bytes(d.text())
	case store.TypeSlice:
		return store.SliceJSON(d.text())
	case store.TypeMap:
		return store.MapJSON(d.text())
	default:
		return store.Value{}
	}
}

// take reads n bytes, zeros when there are fewer.
func (d *recordDecoder) take(n int) string {
	if len(d.rest) < n {
		d.fail("value")
		return strings.Repeat("\x00", n)
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
