package main

import (
	"context"
	"fmt"

	"github.com/mindscope/mindscope/internal/client"
)

// backupCmd copies the store of a running server.
type backupCmd struct {
	Dir       string `arg:"" help:"Folder to make; with --deletions, a backup made before."`
	Deletions bool   `help:"Bring the record of deletions in a backup up to date, so that a restore deletes again what was deleted since."`
}

// Run copies the store, or the record of deletions.
func (c *backupCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	if c.Deletions {
		if err := cl.Deletions(ctx, c.Dir); err != nil {
			return explain(err)
		}
		fmt.Fprintf(std.Out, "the record of deletions in %s is up to date\n", c.Dir)
		return nil
	}
	files, bytes, err := cl.Backup(ctx, c.Dir)
	if err != nil {
		return explain(err)
	}
	fmt.Fprintf(std.Out, "backed up %d files, %.1f MB, to %s\n", files, float64(bytes)/1e6, c.Dir)
	return nil
}
