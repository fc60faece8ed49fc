// Command grafana measures how long Grafana waits for the answers to what its built-in data sources ask, over a store of
// millions of spans, and writes bench/grafana.json. Requests go through the handlers of the API, answers are looked at.
//
// Another question is another entry of a list like traceQuestions, in a file of its own, and a row of bench/grafana.yaml.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/api/tempo"
	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/bench/fill"
)

// times is how often a question is asked, the first time of a store that was just opened, whose files are not in memory.
const times = 11

// question is what is asked again and again.
type question struct {
	// name is that of the figures NAME_p50_ms and NAME_first_ms.
	name string
	// target is the request's path with its parameters.
	target string
	// check looks at the answer's body.
	check func(body []byte) error
}

func main() {
	out := flag.String("out", "bench/grafana.json", "file of the figures; those of other programs stay")
	size := flag.String("size", "full", "small or full: 200 000 or 2 million spans")
	dir := flag.String("dir", "", "folder of the store; it stays, and is used again when it holds one. Without it a temporary one")
	only := flag.String("only", "", "ask this question only")
	profile := flag.String("profile", "", "file of a processor profile of the questions")
	flag.Parse()
	if err := run(context.Background(), *out, *size, *dir, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench-grafana:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, size, dir, only, profile string) (err error) {
	spans, ok := map[string]int{"small": 200_000, "full": 2_000_000}[size]
	if !ok {
		return fmt.Errorf("size %q is none of small, full", size)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bench-grafana-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	p := fill.Plan{Dir: dir, Spans: spans}
	if _, err := p.Samples(); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := p.Build(ctx); err != nil {
			return fmt.Errorf("build store: %w", err)
		}
	}
	figures := map[string]any{
		"size": size, "spans": spans + fill.WideSpans,
		"machine": fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := ask(p, only, figures); err != nil {
		return err
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

// ask opens the store and notes how long each question took.
func ask(p fill.Plan, only string, figures map[string]any) (err error) {
	if err := fill.ForgetFiles(p.Dir); err != nil {
		return err
	}
	samples, err := p.Samples()
	if err != nil {
		return err
	}
	db, err := eventdb.Open(p.Store(), eventdb.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	mux := http.NewServeMux()
	mux.Handle(tempo.Prefix+"/", tempo.New(traceql.New(overlay.New(db, nil), traceql.Options{}), "bench", nil))
	built, err := p.End()
	if err != nil {
		return err
	}
	for _, q := range slices.Concat(traceQuestions(built, samples)) {
		if only != "" && q.name != only {
			continue
		}
		took := make([]float64, 0, times)
		for range times {
			begin := time.Now()
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, q.target, nil))
			took = append(took, time.Since(begin).Seconds()*1000)
			if w.Code != http.StatusOK {
				return fmt.Errorf("%s: %d %s", q.name, w.Code, w.Body)
			}
			if err := q.check(w.Body.Bytes()); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
		}
		first := took[0]
		slices.Sort(took)
		for suffix, figure := range map[string]float64{"p50": took[len(took)/2], "first": first} {
			figures[q.name+"_"+suffix+"_ms"] = json.Number(fmt.Sprintf("%.4g", figure))
		}
		fmt.Printf("%-28s p50 %8.1f ms   first %8.1f ms\n", q.name, took[len(took)/2], first)
	}
	return nil
}
