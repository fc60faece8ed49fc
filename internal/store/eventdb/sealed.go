package eventdb

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"

	"github.com/mindscope/mindscope/internal/store"
)

// The folder's small text files say at the end of their lines what the line's CRC-32C is, so that a bent bit is no other name or
// number:
//
//	{"default":0,"other":1} #crc32c=1f2e3d4c
//
// Lines from before format 3 have none.
const (
	sealMark = " #crc32c="
	sealLen  = len(sealMark) + 8
)

// seal returns a line, without its end, with its checksum.
func seal(line []byte) []byte {
	sum := crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(slices.Clip(line), "%s%08x", sealMark, sum)
}

// unseal returns what a line says, false when its checksum is another.
func unseal(line []byte) ([]byte, bool) {
	at := len(line) - sealLen
	if at < 0 || string(line[at:at+len(sealMark)]) != sealMark {
		return line, true // a damaged mark is no part of any text, which its reader finds
	}
	sum, err := strconv.ParseUint(string(line[at+len(sealMark):]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(line[:at], crc32.MakeTable(crc32.Castagnoli)) {
		return nil, false
	}
	return line[:at], true
}

// hasSeal tells whether a line has a checksum, and that it is right.
func hasSeal(line []byte) bool {
	text, ok := unseal(line)
	return ok && len(text) < len(line)
}

// withoutSeals returns lines without their checksums. A damaged line, and a last one without its end, stay as they are for their
// reader to see.
func withoutSeals(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		said, whole := bytes.CutSuffix(line, []byte("\n"))
		if said, ok := unseal(said); whole && ok {
			out = append(append(out, said...), '\n')
		} else {
			out = append(out, line...)
		}
	}
	return out
}

// readSealed returns the one line of a file.
func readSealed(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	line, ok := unseal(text)
	if !ok {
		return nil, fmt.Errorf("read %s: %w: its checksum is not that of its text", path, store.ErrCorrupt)
	}
	return line, nil
}

// firstLine returns a file's first line, nothing of one that can't be read.
func firstLine(path string) []byte {
	text, _ := os.ReadFile(path)
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

// writeSealed writes a file of one line, as a whole; it is on disk when it returns.
func writeSealed(path string, line []byte) error { return writeFile(path, append(seal(line), '\n')) }
