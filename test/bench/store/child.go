package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// The program starts itself anew for each thing it measures; these variables tell the child what to be.
const (
	roleVariable = "BENCH_STORE_ROLE"
	argVariable  = "BENCH_STORE_ARG"
	profVariable = "BENCH_STORE_PROFILE" // folder for profiles of the children, if any
)

// usage is what a child took from when it was ready until its data were on disk.
type usage struct {
	CPU    float64 // seconds, user and system
	PeakMB float64 // largest resident set
	Disk   int64   // bytes of the data folder
}

// child is a running child: it says a line when it is ready, and a line of JSON before it ends, when its input ends.
type child struct {
	cmd   *exec.Cmd
	in    io.Closer
	out   *bufio.Reader
	ready string // the address for spans
	api   string // the address for questions, of the server
}

func startChild(ctx context.Context, role, arg string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role, argVariable+"="+arg)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	if c.ready, err = c.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", role, err), c.cmd.Wait())
	}
	c.ready, c.api, _ = strings.Cut(strings.TrimSpace(c.ready), " ")
	return c, nil
}

// end stops the child and reads its last line into v.
func (c *child) end(v any) error {
	if err := c.in.Close(); err != nil {
		return err
	}
	text, err := io.ReadAll(c.out)
	if err := errors.Join(err, c.cmd.Wait()); err != nil {
		return fmt.Errorf("end of %s: %w", c.cmd.Path, err)
	}
	return json.Unmarshal(text, v)
}

// play is the child's main function.
func play(role string) (err error) {
	arg := os.Getenv(argVariable)
	if dir := os.Getenv(profVariable); dir != "" {
		f, err := os.Create(filepath.Join(dir, profileName(role, arg)))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch role {
	case "plain":
		return servePlain(arg)
	case "server":
		return serveApp(arg)
	case "build", "read":
		return playPlan(role, arg)
	default:
		return fmt.Errorf("BUG: no role %q", role)
	}
}

// profileName tells apart the profiles of one run: the folder that a child works in has the workload and the round.
func profileName(role, arg string) string {
	return role + "-" + filepath.Base(filepath.Dir(strings.Trim(arg, "{}\""))) + ".prof"
}

// serveUntilEnd says that the child is ready, waits for the end of its input, stops and reports.
func serveUntilEnd(ready, dir string, stop func() error) error {
	before, err := used()
	if err != nil {
		return err
	}
	fmt.Println(ready)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if dir := os.Getenv(profVariable); dir != "" {
		if err := writeHeap(filepath.Join(dir, "heap.prof")); err != nil {
			return err
		}
	}
	if err := stop(); err != nil {
		return err
	}
	u, err := used()
	if err != nil {
		return err
	}
	u.CPU -= before.CPU
	if u.Disk, err = diskOf(dir); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(u)
}

// writeHeap writes a profile of what is in memory.
func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

func used() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	cpu := time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return usage{CPU: cpu.Seconds(), PeakMB: float64(r.Maxrss) / 1024}, nil
}

// diskOf returns the bytes of the files. The store's reserve is no data: it is part of the space that must stay free.
func diskOf(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "reserve" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum += info.Size()
		return nil
	})
	return sum, err
}
