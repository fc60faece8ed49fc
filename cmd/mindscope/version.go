package main

import (
	"fmt"
	"runtime"
)

// versionCmd prints the version.
type versionCmd struct{}

// Run prints the version of the program and of the Go release that built it.
func (versionCmd) Run(std stdio) error {
	_, err := fmt.Fprintf(std.Out, "mindscope %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
