// Package fill makes large stores for benchmarks of reading.
package fill

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"

	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/load"
)

const (
	// Stretch is over how much time the spans of a built store lie.
	Stretch = 5 * 24 * time.Hour
	// WideSpans is the size of the one large trace of a built store, which began an hour before its end.
	WideSpans = 30_000

	samples     = 300 // tasks that are noted for asking
	fileSamples = "samples.json"
)

// Sample is a task to ask for: its trace, and a phrase that only its prompts have.
type Sample struct{ TraceID, Phrase string }

// Plan says what a built store holds.
type Plan struct {
	Dir   string
	Spans int
}

// Store is the store's folder.
func (p Plan) Store() string { return filepath.Join(p.Dir, "store") }

// Samples returns the tasks that were noted when the store was built.
func (p Plan) Samples() ([]Sample, error) {
	text, err := os.ReadFile(filepath.Join(p.Dir, fileSamples))
	if err != nil {
		return nil, err
	}
	var out []Sample
	return out, json.Unmarshal(text, &out)
}

// End is when the store was built, which is when its last spans started.
func (p Plan) End() (time.Time, error) {
	info, err := os.Stat(filepath.Join(p.Dir, fileSamples))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// Build fills a store with articles that were written over the last days, every step but the wire on.
func (p Plan) Build(ctx context.Context) (err error) {
	// The store looks for repeats of what is older than its memory: it gets one that reaches back far enough.
	db, err := eventdb.Open(p.Store(), eventdb.Config{RecentWindow: 2 * Stretch})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sink, err := steps(db)
	if err != nil {
		return err
	}
	g, err := load.New(load.Article, 42)
	if err != nil {
		return err
	}
	tasks := p.Spans / load.Article.Spans()
	begin := time.Now().Add(-Stretch)
	every := (Stretch - 10*time.Minute) / time.Duration(tasks)
	notes := make([]Sample, 0, samples)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(3)
	for i := range tasks {
		td := g.Task(begin.Add(time.Duration(i) * every))
		if i%max(1, tasks/samples) == 0 && len(notes) < samples {
			notes = append(notes, sampleOf(td))
		}
		group.Go(func() error { return take(ctx, sink, td) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, part := range g.Wide(time.Now().Add(-time.Hour), WideSpans) {
		if err := take(context.Background(), sink, part); err != nil {
			return err
		}
	}
	text, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.Dir, fileSamples), text, 0o644)
}

func take(ctx context.Context, sink signal.Sink, td ptrace.Traces) error {
	rejected, err := sink.Traces(ctx, signal.DefaultProject, td)
	if err == nil && rejected.Items > 0 {
		err = errors.New("spans were rejected")
	}
	return err
}

// steps puts the steps that give spans their columns in front of a store.
func steps(db *eventdb.DB) (signal.Sink, error) {
	nothing := func(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
		return signal.Rejected{}, nil
	}
	c, err := cost.New(store.NewSink(db, nothing), cost.Config{})
	if err != nil {
		return nil, err
	}
	return dialect.New(identity.New(c), dialect.Config{})
}

// sampleOf finds the topic in the first prompt of an article.
func sampleOf(td ptrace.Traces) Sample {
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for _, s := range spans.All() {
		input, ok := s.Attributes().Get("gen_ai.input.messages")
		if !ok {
			continue
		}
		_, topic, _ := strings.Cut(input.Str(), "Write an article about ")
		topic, _, _ = strings.Cut(topic, ".")
		return Sample{TraceID: s.TraceID().String(), Phrase: topic}
	}
	return Sample{}
}
