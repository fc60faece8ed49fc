package main

import (
	"fmt"
	"time"

	"github.com/mindscope/mindscope/internal/config"
)

// duration is a flag's time.Duration that also takes whole days and years: 30d, 2y.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := config.ParseDuration(string(text))
	if err != nil || parsed <= 0 {
		return fmt.Errorf("%q is no duration: use 30d, 2y or 12h", text)
	}
	*d = duration(parsed)
	return nil
}
