package eventdb

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// keepBlocks gives a file blocks of its own.
func keepBlocks(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return errors.ErrUnsupported
	}
	return err
}
