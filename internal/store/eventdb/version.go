package eventdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// formatVersion is the version of everything below the folder. A higher one is refused, a lower one is migrated:
//
//	1  the first one
//	2  rows have a column of odd words, payloads are in groups; what was there before stays as it is and is
//	   searched as before
//	3  lines of small files have a checksum; those from before have none until they are written again
const formatVersion = 3

// The first formats whose rows have a column of odd words, and whose small files have checksums.
const (
	firstWithOdd   = 2
	firstWithSeals = 3
)

// migrate makes a folder of an earlier release one of this release, and a new one as well. It returns the time until
// which rows may be of format 1, 0 when there are none.
func (db *DB) migrate() (oldUntil int64, err error) {
	version, err := readVersion(db.dir)
	if err != nil {
		return 0, err
	}
	if version >= firstWithOdd {
		oldUntil, err = readOldUntil(db.dir)
	} else if version == 1 || len(db.cfg.Nodes) > 0 { // nodes may have rows of another folder
		oldUntil = db.cfg.Clock().Add(db.cfg.FutureRetention).UnixNano()
		err = writeSealed(filepath.Join(db.dir, fileOldUntil), strconv.AppendInt(nil, oldUntil, 10))
	}
	if err != nil || version == formatVersion {
		return oldUntil, err
	}
	return oldUntil, writeFile(filepath.Join(db.dir, fileVersion), []byte(strconv.Itoa(formatVersion)+"\n"))
}

// readOldUntil returns the time until which a folder may have rows of format 1, 0 when it has none.
func readOldUntil(dir string) (int64, error) {
	text, err := readSealed(filepath.Join(dir, fileOldUntil))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	at, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: file %s does not hold a time", store.ErrCorrupt, fileOldUntil)
	}
	return at, nil
}

// readVersion returns the version of a folder, 0 of a new one, and refuses those of a newer release.
func readVersion(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, fileVersion))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, dirEvents)); err == nil {
			return 0, fmt.Errorf("%w: events without a file %s", store.ErrCorrupt, fileVersion)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: file %s does not hold a version", store.ErrCorrupt, fileVersion)
	}
	if version < firstWithSeals && hasSeal(firstLine(filepath.Join(dir, fileKey))) {
		return 0, fmt.Errorf("%w: file %s holds %d, and the folder is of format %d at least", store.ErrCorrupt, fileVersion, version, firstWithSeals)
	}
	if version > formatVersion {
		err := fmt.Errorf("%w: format %d, this release knows %d", store.ErrNewer, version, formatVersion)
		return 0, signal.WithHint(err, "use the release that wrote the folder or a later one, or choose another folder with --data")
	}
	return version, nil
}
