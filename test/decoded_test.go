package test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// file is a file of a data folder: its bytes, and what is packed in them.
type file struct {
	path  string // below the folder
	texts [][]byte
}

func (f *file) has(text string) bool {
	return slices.ContainsFunc(f.texts, func(b []byte) bool { return bytes.Contains(b, []byte(text)) })
}

// kind names what sort of file it is, "" for one of another sort.
func (f *file) kind() string {
	switch {
	case f.path == "wal/checkpoint":
		return "checkpoint"
	case strings.HasPrefix(f.path, "wal/"):
		return "log"
	case strings.HasPrefix(f.path, "events/") && strings.Contains(f.path, "/indexdb/"):
		return "index of events"
	case strings.HasPrefix(f.path, "events/"):
		return "events"
	case strings.HasPrefix(f.path, "payloads/"):
		return "payloads"
	case strings.HasPrefix(f.path, "metrics/"):
		return "metrics"
	}
	return ""
}

// decoded reads every file of a data folder with all that is packed in it: whatever begins like a block of the engine,
// records of the log, and the state in the checkpoint. Files that a running server removes meanwhile are left out.
func decoded(t *testing.T, dir string) []file {
	t.Helper()
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	var files []file
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		f := file{filepath.ToSlash(name), [][]byte{raw}}
		f.texts = append(f.texts, blocks(decoder, raw)...)
		switch f.kind() {
		case "log":
			f.texts = append(f.texts, records(raw)...)
		case "checkpoint":
			f.texts = append(f.texts, state(t, raw))
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// blocks decodes what begins like a zstd frame. Bytes behind the frame make an error after its content was decoded.
func blocks(decoder *zstd.Decoder, raw []byte) (out [][]byte) {
	magic := []byte{0x28, 0xB5, 0x2F, 0xFD}
	for {
		i := bytes.Index(raw, magic)
		if i < 0 {
			return out
		}
		if plain, _ := decoder.DecodeAll(raw[i:], nil); len(plain) > 0 {
			out = append(out, plain)
		}
		raw = raw[i+1:]
	}
}

// records decodes the records of a segment of the log, by the marks of their frames.
func records(raw []byte) (out [][]byte) {
	const mark, head = "\xf7LR\n", 20
	for frame := range bytes.SplitSeq(raw, []byte(mark)) {
		if len(frame) <= head-len(mark) {
			continue
		}
		if plain, err := s2.Decode(nil, frame[head-len(mark):]); err == nil {
			out = append(out, plain)
		}
	}
	return out
}

// state decodes what a checkpoint of version 3 holds of the counters and live views, if anything. It fails the test when it
// can't: the search would no longer know the file.
func state(t *testing.T, raw []byte) []byte {
	t.Helper()
	const header, sum, none, stream = 29, 4, 0, 3
	if len(raw) == header+sum && raw[header-1] == none {
		return nil
	}
	if len(raw) < header+sum || raw[header-1] != stream {
		t.Fatalf("a checkpoint of %d bytes that holds no stream", len(raw))
	}
	plain, err := io.ReadAll(s2.NewReader(bytes.NewReader(raw[header : len(raw)-sum])))
	if err != nil || !bytes.HasPrefix(plain, []byte("{")) {
		t.Fatalf("the state in the checkpoint: %v, %.40q", err, plain)
	}
	return plain
}

// kindsWith returns the sorts of files that hold a text, each once, and the paths of those of no sort.
func kindsWith(files []file, text string) []string {
	var out []string
	for i := range files {
		if !files[i].has(text) {
			continue
		}
		kind := files[i].kind()
		if kind == "" {
			kind = files[i].path
		}
		out = append(out, kind)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
