package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/mindscope/mindscope/internal/client"
)

// topCmd shows what runs.
type topCmd struct {
	Once bool `help:"Print what runs now and end; also what is done when the output is no terminal."`
}

// reconnectAfter is how long top waits for a server that is gone.
const reconnectAfter = 2 * time.Second

// Run shows what runs until the user has seen enough.
func (c *topCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	screen := newTop(g.Server, paletteOf(g, std.Out))
	if c.Once || !isTerminal(std.Out) {
		return once(ctx, cl, screen, std.Out)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(screen, tea.WithContext(ctx), tea.WithOutput(std.Out), tea.WithAltScreen())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, cl, program.Send)
	}()
	_, err = program.Run()
	cancel()
	<-watched
	if err != nil && !errors.Is(err, tea.ErrProgramKilled) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("draw on the terminal: %w", err)
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// once prints the first state that the server tells.
func once(ctx context.Context, cl *client.Client, screen top, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := false
	err := cl.Live(ctx, func(tasks client.RunningTasks) {
		if !seen {
			seen = true
			screen.tasks, screen.at, screen.open = &tasks, time.Now(), true
			screen.width, screen.height = 160, 0
			fmt.Fprint(out, screen.frame())
		}
		cancel()
	})
	if seen {
		return nil
	}
	return explain(err)
}

// Messages to the screen.
type (
	// seenMsg is what runs, goneMsg why the server can't say.
	seenMsg struct{ tasks client.RunningTasks }
	goneMsg struct{ err error }
	// clockMsg says that a second went by: ages grow.
	clockMsg time.Time
)

// watch reads the server's stream, again and again, and tells the screen.
func watch(ctx context.Context, cl *client.Client, send func(tea.Msg)) {
	for {
		err := cl.Live(ctx, func(tasks client.RunningTasks) { send(seenMsg{tasks}) })
		if ctx.Err() != nil {
			return
		}
		send(goneMsg{err})
		timer := time.NewTimer(reconnectAfter)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return clockMsg(t) })
}
