// Command benchreport measures what the SDK costs an agent's process, beside OpenTelemetry's own spans in the same run,
// and writes the figures as one flat JSON object. `make bench-sdk` runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"
)

func main() {
	out := flag.String("o", "", "file for the figures; the terminal when empty")
	rounds := flag.Int("rounds", 120, "how often each part is measured, in turn with the others")
	profile := flag.String("cpuprofile", "", "file for a CPU profile of the measured parts")
	memory := flag.String("memprofile", "", "file for a profile of all allocations")
	only := flag.String("only", "", "measure the parts of these names only, comma-separated, for profiles")
	flag.Parse()
	if err := run(*out, *rounds, *profile, *memory, *only); err != nil {
		fmt.Fprintln(os.Stderr, "benchreport:", err)
		os.Exit(1)
	}
}

func run(out string, rounds int, profile, memory, only string) error {
	if memory != "" {
		runtime.MemProfileRate = 512
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return fmt.Errorf("create profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("start profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	figures, err := measureAll(rounds, only)
	if err != nil {
		return err
	}
	if memory != "" {
		f, err := os.Create(memory)
		if err != nil {
			return fmt.Errorf("create profile: %w", err)
		}
		defer f.Close()
		if err := pprof.Lookup("allocs").WriteTo(f, 0); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	text = append(text, '\n')
	if out == "" {
		_, err = os.Stdout.Write(text)
	} else {
		err = os.WriteFile(out, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// part is one thing to measure.
type part struct {
	name string
	// run does the thing n times, and all that is left to do behind it: what is in a queue is part of the cost.
	run func(n int) error
}

// costs are what a part took for one time, round by round.
type costs struct{ ns, allocs []float64 }

// measure runs the parts in turn, so that what else the machine does meets all of them.
func measure(parts []part, rounds, n int) (map[string]*costs, error) {
	all := map[string]*costs{}
	for _, p := range parts {
		all[p.name] = &costs{}
	}
	for round := range rounds {
		for i := range parts {
			p := parts[(i+round)%len(parts)]
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			if err := p.run(n); err != nil {
				return nil, fmt.Errorf("measure %s: %w", p.name, err)
			}
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			if round == 0 {
				continue // caches and pools are filled now
			}
			c := all[p.name]
			c.ns = append(c.ns, float64(took.Nanoseconds())/float64(n))
			c.allocs = append(c.allocs, float64(after.Mallocs-before.Mallocs)/float64(n))
		}
	}
	return all, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// ratio is the median of what a took in a round for each of what b took in it.
func ratio(a, b []float64) float64 {
	var r []float64
	for i := range a {
		r = append(r, a[i]/b[i])
	}
	return median(r)
}

// machine says what the figures were measured on.
func machine() string {
	return fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

func merge(into map[string]any, all map[string]*costs) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		into[name+"_ns"] = round(median(all[name].ns), 0)
		into[name+"_allocs"] = round(median(all[name].allocs), 1)
	}
}
