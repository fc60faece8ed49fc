package eventdb

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// A segment of the log is a file named by the number of its first record. It begins with a header and holds frames,
// one a record, whose numbers follow on each other:
//
//	header  "MSCOPELG", version (4 bytes)
//	frame   "\xf7LR\n", length of the record (4), CRC-32C of number and record (4), number (8), record
//
// Numbers are little-endian. The mark at a frame's beginning lets a reader go on behind a damaged place.
const (
	segmentMagic   = "MSCOPELG"
	segmentVersion = 1
	segmentHeader  = len(segmentMagic) + 4
	segmentSuffix  = ".log"

	frameMark   = "\xf7LR\n"
	frameHeader = len(frameMark) + 4 + 4 + 8
)

// appendFrame appends the frame of record number n.
func appendFrame(dst []byte, castagnoli *crc32.Table, n uint64, record []byte) []byte {
	start := len(dst)
	dst = append(dst, frameMark...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, n)
	dst = append(dst, record...)
	sum := crc32.Checksum(dst[start+12:], castagnoli)
	binary.LittleEndian.PutUint32(dst[start+8:], sum)
	return dst
}

// cutFrame returns the frame that data begins with. ok is false when there is none, or it is damaged or cut short.
func cutFrame(data []byte, castagnoli *crc32.Table) (n uint64, record []byte, length int, ok bool) {
	if len(data) < frameHeader || string(data[:len(frameMark)]) != frameMark {
		return 0, nil, 0, false
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	if size > uint64(len(data)-frameHeader) {
		return 0, nil, 0, false
	}
	length = frameHeader + int(size)
	if crc32.Checksum(data[12:length], castagnoli) != binary.LittleEndian.Uint32(data[8:]) {
		return 0, nil, 0, false
	}
	return binary.LittleEndian.Uint64(data[12:]), data[frameHeader:length], length, true
}

// damage is a part of a segment that holds no whole frames.
type damage struct {
	path       string
	start, end int64
	// tail says that no frame follows: a write that a crash cut short, if the segment is the newest.
	tail bool
}

// eachFrame calls f for the frames of a segment's bytes and returns what it had to leap over. after is the number of
// the last record before the segment: frames that are not newer are damage, too.
func eachFrame(path string, data []byte, after uint64, f func(n uint64, record []byte) error) ([]damage, error) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	var damaged []damage
	at := segmentHeader
	for at < len(data) {
		n, record, length, ok := cutFrame(data[at:], castagnoli)
		if ok && n > after {
			if err := f(n, record); err != nil {
				return damaged, err
			}
			after = n
			at += length
			continue
		}
		next := nextFrame(data, at+1, after, castagnoli)
		damaged = append(damaged, damage{path: path, start: int64(at), end: int64(next), tail: next == len(data)})
		at = next
	}
	return damaged, nil
}

// nextFrame returns where the next whole frame begins, the end of data when there is none.
func nextFrame(data []byte, at int, after uint64, castagnoli *crc32.Table) int {
	for at < len(data) {
		i := bytes.Index(data[at:], []byte(frameMark))
		if i < 0 {
			break
		}
		at += i
		if n, _, _, ok := cutFrame(data[at:], castagnoli); ok && n > after {
			return at
		}
		at++
	}
	return len(data)
}

// segment is a file of the log.
type segment struct {
	first uint64
	path  string
	size  int64
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// listSegments returns the segments of a folder in order. A missing folder has none.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is no segment of the log", store.ErrCorrupt, filepath.Join(dir, e.Name()))
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, segment{first: first, path: filepath.Join(dir, e.Name()), size: info.Size()})
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return out, nil
}

// createSegment makes a segment and returns it ready for frames; file and folder entry are on disk.
func createSegment(dir string, first uint64) (*os.File, error) {
	f, err := os.OpenFile(segmentPath(dir, first), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	header := binary.LittleEndian.AppendUint32([]byte(segmentMagic), segmentVersion)
	_, err = f.Write(header)
	if err := errors.Join(err, f.Sync(), syncFolder(dir)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// checkSegment looks at a segment's header. A header that is cut short is no error: whole says whether it is there.
func checkSegment(path string, data []byte) (whole bool, err error) {
	if len(data) < segmentHeader {
		return false, nil
	}
	if string(data[:len(segmentMagic)]) != segmentMagic {
		return false, nil
	}
	if v := binary.LittleEndian.Uint32(data[len(segmentMagic):]); v > segmentVersion {
		err := fmt.Errorf("%w: log segment %s has format %d, this release knows %d", store.ErrNewer, path, v, segmentVersion)
		return false, signal.WithHint(err, "use the release that wrote the folder or a later one")
	}
	return true, nil
}
