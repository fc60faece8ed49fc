package main

import "context"

// serveCmd runs the server.
type serveCmd struct{}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	<-ctx.Done()
	return nil
}
