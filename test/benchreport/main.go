// Command benchreport measures the server as its operator meets it, and writes docs/performance.md from the figures of
// all benchmarks. `make bench` runs it.
//
//	benchreport server -bin bin/mindscope -o bench/server.json
//	benchreport bus -bin bin/mindscope -o bench/bus.json
//	benchreport enrich -o bench/enrich.json
//	benchreport metrics -bin bin/mindscope -stock bin/prometheus -o bench/metrics.json
//	benchreport doc -dir bench -o docs/performance.md
//	benchreport table -dir bench store
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchreport:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: server, bus, enrich, metrics, live, table or doc")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "server":
		bin := flags.String("bin", "bin/mindscope", "the server's binary")
		runs := flags.Int("runs", 9, "how often it is started")
		out := flags.String("o", "bench/server.json", "file for the figures")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return server(*bin, *runs, *out)
	case "bus":
		bin := flags.String("bin", "bin/mindscope", "the server's binary")
		messages := flags.Int("messages", 60_000, "how many messages are sent")
		out := flags.String("o", "bench/bus.json", "file for the figures")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return bus(*bin, *messages, *out)
	case "enrich":
		runs := flags.Int("runs", 5, "how often each figure is measured")
		out := flags.String("o", "bench/enrich.json", "file for the figures")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return enrich(*runs, *out)
	case "metrics":
		bin := flags.String("bin", "bin/mindscope", "the server's binary")
		stock := flags.String("stock", "bin/prometheus", "a stock Prometheus")
		rounds := flags.Int("rounds", 9, "how often each figure is measured")
		out := flags.String("o", "bench/metrics.json", "file for the figures")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return metrics(*bin, *stock, *rounds, *out)
	case "live":
		bin := flags.String("bin", "bin/mindscope", "the server's binary")
		probes := flags.Int("probes", 100, "how many events are measured")
		out := flags.String("o", "bench/live.json", "file for the figures")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return live(*bin, *probes, *out)
	case "doc":
		dir := flags.String("dir", "bench", "folder of the figures and of what they mean")
		out := flags.String("o", "docs/performance.md", "the page")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		text, err := page(os.DirFS(*dir))
		if err != nil {
			return err
		}
		if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
		return nil
	case "table":
		dir := flags.String("dir", "bench", "folder of the figures and of what they mean")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return table(os.Stdout, os.DirFS(*dir), flags.Arg(0))
	default:
		return fmt.Errorf("%q is nothing that can be done: server, bus, enrich, metrics, live, table or doc", args[0])
	}
}
