package main

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
	// stretch is over how much time the spans of a built store lie.
	stretch = 5 * 24 * time.Hour
	// wideSpans is the size of the one large trace of a built store.
	wideSpans = 30_000
	// samples is how many tasks of a built store are noted for asking.
	samples = 300

	fileSamples = "samples.json"
	dirStore    = "store"
)

// sample is a task to ask for: its trace, and a phrase that only its prompts have.
type sample struct{ TraceID, Phrase string }

// plan says what a built store holds.
type plan struct {
	Dir   string
	Spans int
}

// build fills a store with articles that were written over the last days, every step but the wire on.
func build(ctx context.Context, p plan) (err error) {
	// The store looks for repeats of what is older than its memory: it gets one that reaches back far enough.
	db, err := eventdb.Open(filepath.Join(p.Dir, dirStore), eventdb.Config{RecentWindow: 2 * stretch})
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
	tasks := p.Spans / spansOf(load.Article)
	begin := time.Now().Add(-stretch)
	every := (stretch - 10*time.Minute) / time.Duration(tasks)
	notes := make([]sample, 0, samples)
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
	for _, part := range g.Wide(time.Now().Add(-time.Hour), wideSpans) {
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
func sampleOf(td ptrace.Traces) sample {
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for _, s := range spans.All() {
		input, ok := s.Attributes().Get("gen_ai.input.messages")
		if !ok {
			continue
		}
		_, topic, _ := strings.Cut(input.Str(), "Write an article about ")
		topic, _, _ = strings.Cut(topic, ".")
		return sample{TraceID: s.TraceID().String(), Phrase: topic}
	}
	return sample{}
}
