package main

import (
	"fmt"

	"github.com/mindscope/mindscope/internal/app"
)

// restoreCmd makes a data folder of a backup. It needs no server.
type restoreCmd struct {
	Dir  string `arg:"" help:"Backup, a folder that mindscope backup made."`
	Data string `help:"Data folder to make; missing or empty." required:"" placeholder:"DIR"`
}

// Run copies the backup.
func (c *restoreCmd) Run(std stdio) error {
	if err := app.Restore(c.Dir, c.Data); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	fmt.Fprintf(std.Out, "restored to %s: start the server with --data %s\n", c.Data, c.Data)
	return nil
}
