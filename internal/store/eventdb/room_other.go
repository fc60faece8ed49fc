//go:build !linux

package eventdb

import (
	"errors"
	"os"
)

// keepBlocks gives a file blocks of its own.
func keepBlocks(*os.File, int64) error { return errors.ErrUnsupported }
