package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit codes, documented in docs/cli.md.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// cli is the command line. Its fields are the global flags and one field a command; a command's type has
// Run(ctx context.Context, g *globals, std stdio) error and lives in a file of its own.
type cli struct {
	globals

	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Tasks   tasksCmd   `cmd:"" help:"List tasks, newest first."`
	Task    taskCmd    `cmd:"" help:"Show one task from end to end as a tree."`
	Trace   traceCmd   `cmd:"" help:"Show one trace."`
	Logs    logsCmd    `cmd:"" help:"Print the log lines of a task."`
	Top     topCmd     `cmd:"" help:"Watch what runs: who holds the work, who waits for whom, what is lost, stuck or goes round in circles."`
	Audit   auditCmd   `cmd:"" help:"Account for every hop of a task: what is missing, and where its id was lost."`
	Whence  whenceCmd  `cmd:"" help:"Tell where an artifact or record came from, and what used it later."`
	Cost    costCmd    `cmd:"" help:"Sum up what calls of models cost."`
	Budgets budgetsCmd `cmd:"" help:"Show how far budgets are used up."`
	Prices  pricesCmd  `cmd:"" help:"Look at the price book."`
	Recost  recostCmd  `cmd:"" help:"Compute costs anew by the prices of now, or ask what if."`
	Delete  deleteCmd  `cmd:"" help:"Remove a task, a trace or all of a user."`
	Scrub   scrubCmd   `cmd:"" help:"Take a leaked secret out of everything stored."`
	Export  exportCmd  `cmd:"" help:"Hand out all of a user, a task or a trace as OTLP JSON."`
	Backup  backupCmd  `cmd:"" help:"Copy the store of a running server into a folder."`
	Restore restoreCmd `cmd:"" help:"Make a data folder of a backup."`
	Grafana grafanaCmd `cmd:"" help:"Set up a Grafana."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// globals are the flags of every command that asks a running server.
type globals struct {
	Server  string `help:"Address of the server to ask." env:"MINDSCOPE_SERVER" default:"http://127.0.0.1:9090" placeholder:"URL"`
	Project string `help:"Project to ask about." env:"MINDSCOPE_PROJECT" default:"default" placeholder:"NAME"`
	NoColor bool   `help:"Print without colours (the variable NO_COLOR does the same)."`
}

// stdio is where a command prints.
type stdio struct {
	Out, Err io.Writer
}

// exitCoder is an error that wants an exit code of its own.
type exitCoder interface {
	error
	ExitCode() int
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	var c cli
	parser, err := kong.New(&c,
		kong.Name("mindscope"),
		kong.Description("Follows every task of a team of AI agents: traces, logs, cost and metrics in one place."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic("BUG: command line: " + err.Error())
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help was printed
		return exited
	}
	if err != nil {
		return report(stderr, usageError{err})
	}
	if os.Getenv("NO_COLOR") != "" { // any value counts (no-color.org)
		c.NoColor = true
	}
	if err := kctx.Run(&c.globals, stdio{Out: stdout, Err: stderr}); err != nil {
		return report(stderr, err)
	}
	return exitOK
}

// report prints err on one line, each of its Lines and its hint on lines of their own, and returns the exit code.
func report(w io.Writer, err error) int {
	fmt.Fprintf(w, "mindscope: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	var several interface{ Lines() []string }
	if errors.As(err, &several) {
		for _, line := range several.Lines() {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		fmt.Fprintf(w, "  hint: %s\n", h.Hint())
	}
	if c, ok := errors.AsType[exitCoder](err); ok {
		return c.ExitCode()
	}
	return exitError
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

func (usageError) ExitCode() int   { return exitUsage }
func (usageError) Hint() string    { return "mindscope --help lists the commands and their flags" }
func (e usageError) Unwrap() error { return e.error }
