package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// This file is part of the server that TestServerClockJumpsBack builds: its clock is as far from the machine's as a file says, in seconds.

var _ = watchClock(os.Getenv("MINDSCOPE_TEST_CLOCK"))

func watchClock(path string) bool {
	read := func() {
		text, err := os.ReadFile(path)
		if err != nil {
			return
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			time.SetClock(n)
		}
	}
	read()
	go func() {
		for ; ; time.Sleep(10 * time.Millisecond) {
			read()
		}
	}()
	return true
}
