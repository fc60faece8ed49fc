package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mindscope/mindscope/internal/client"
)

// exportCmd hands out what is known of a user, a task or a trace.
type exportCmd struct {
	target
	File string `short:"f" help:"Write to this file, which must not exist yet; standard output when missing." placeholder:"FILE"`
}

// Run writes OTLP JSON, a line for some spans or log records each.
func (c *exportCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	if c.File == "" {
		return explainCare(cl.Export(ctx, queryOf(c.target), std.Out))
	}
	// What a person said to a model is for its reader only.
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create export: %w", err)
	}
	err = cl.Export(ctx, queryOf(c.target), f)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(explainCare(err), os.Remove(c.File))
	}
	return nil
}
