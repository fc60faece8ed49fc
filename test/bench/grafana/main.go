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
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/api/tempo"
	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/query/traceql"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/bench/fill"
)

// times is how often a question is asked, the first time of a store that was just opened, whose files are not in memory. One
// that takes long is asked three times.
const times, timesWhenLong, long = 11, 3, 30 * time.Second

// question is what is asked again and again.
type question struct {
	// name is that of the figures NAME_p50_ms and NAME_first_ms.
	name string
	// target is the request's path with its parameters.
	target string
	// check looks at the answer's body.
	check func(body []byte) error
}

// options say what is measured.
type options struct {
	out, dir, only, profile string
	traces, logs            bool
	spans                   int // and as many log records
	size                    string
}

func main() {
	o := options{}
	flag.StringVar(&o.out, "out", "bench/grafana.json", "file of the figures; those that are not measured stay")
	flag.StringVar(&o.size, "size", "full", "small or full: 200 000 or 2 million spans and log records")
	flag.StringVar(&o.dir, "dir", "", "folder of the stores; they stay, and are used again when it holds them. Without it a temporary one")
	parts := flag.String("parts", "traces,logs", "what to measure")
	flag.StringVar(&o.only, "only", "", "ask this question only")
	flag.StringVar(&o.profile, "profile", "", "file of a processor profile of the questions")
	flag.Parse()
	o.traces, o.logs = strings.Contains(*parts, "traces"), strings.Contains(*parts, "logs")
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-grafana:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	ok := false
	if o.spans, ok = map[string]int{"small": 200_000, "full": 2_000_000}[o.size]; !ok {
		return fmt.Errorf("size %q is none of small, full", o.size)
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "bench-grafana-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	figures := map[string]any{}
	if text, err := os.ReadFile(o.out); err == nil {
		if err := json.Unmarshal(text, &figures); err != nil {
			return fmt.Errorf("read %s: %w", o.out, err)
		}
	}
	figures["size"] = o.size
	figures["machine"] = fmt.Sprintf("%s/%s, %d CPU, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if o.traces {
		if err := askTraces(ctx, o, figures); err != nil {
			return err
		}
	}
	if o.logs {
		if err := askLogs(ctx, filepath.Join(o.dir, "logs"), o.spans, o.only, figures); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(o.out, append(text, '\n'), 0o644)
}

// askTraces builds the store of spans unless it is there, and asks it.
func askTraces(ctx context.Context, o options, figures map[string]any) error {
	p := fill.Plan{Dir: o.dir, Spans: o.spans}
	if _, err := p.Samples(); err != nil {
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
		if err := p.Build(ctx); err != nil {
			return fmt.Errorf("build store: %w", err)
		}
	}
	figures["spans"] = o.spans + fill.WideSpans
	return ask(p, o.only, figures)
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
	return measure(mux, traceQuestions(built, samples), only, figures)
}

// measure asks each question several times and notes how long it took.
func measure(api http.Handler, questions []question, only string, figures map[string]any) error {
	for _, q := range questions {
		if only != "" && q.name != only {
			continue
		}
		took := make([]float64, 0, times)
		for started := time.Now(); len(took) < times && (len(took) < timesWhenLong || time.Since(started) < long); {
			begin := time.Now()
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, q.target, nil))
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
