package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mindscope/mindscope/test/corpus"
	"github.com/mindscope/mindscope/test/harness"
)

// notRecordings says which files below otlp/ are no recordings of spans, and why they can't be sent. Each reason is
// checked in the file.
func notRecordings() []notRecording {
	return []notRecording{
		{
			"otlp/agent-logs/whowhen-*/*.json", "a conversation written down: speakers and texts without spans, ids or times",
			func(raw []byte, _ string) error { return hasMembers(raw, "history", "mistake_agent") },
		},
		{
			"otlp/agent-logs/strands-evals/*.json", "messages of an agent's own SDK, without spans, ids of traces or times",
			func(raw []byte, _ string) error {
				return hasNone(raw, "traceId", "trace_id", "start_time", "startTime")
			},
		},
		{
			"otlp/agentevals/eval*set*.json", "what an agent should answer, not what it did",
			func(raw []byte, _ string) error { return hasMembers(raw, "eval_cases") },
		},
		{
			"otlp/langfuse-*/*.chatml.json", "the messages that another program reads from the recording beside it",
			func(_ []byte, file string) error {
				_, err := os.Stat(strings.TrimSuffix(file, ".chatml.json") + ".trace.json")
				return err
			},
		},
		{
			"otlp/transcribed/*.truth.json", "facts about the recording beside it",
			func(raw []byte, file string) error {
				if _, err := os.Stat(strings.TrimSuffix(file, ".truth.json") + ".json"); err != nil {
					return err
				}
				return hasMembers(raw, "tokens", "turns")
			},
		},
	}
}

type notRecording struct {
	pattern, why string
	check        func(raw []byte, file string) error
}

// TestEveryFileIsSentOrCannotBe holds that no file of the samples' otlp folder is left out without a reason.
func TestEveryFileIsSentOrCannotBe(t *testing.T) {
	root := harness.NeedSamples(t)
	sent := map[string]bool{}
	for _, rec := range recordings(t) {
		sent[rec.Path] = true
		raw, err := rec.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, err = corpus.Convert(rec.Facts.Format, raw)
		switch {
		case errors.Is(err, corpus.ErrContainer) && os.Getenv("MINDSCOPE_SAMPLES") != "":
			t.Logf("%s can't be sent: %v", rec.Path, err)
		case err != nil:
			t.Errorf("%s: %v", rec.Path, err)
		}
	}
	reasons := notRecordings()
	err := filepath.WalkDir(filepath.Join(root, "otlp"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".json" {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		why, err := reasonOf(reasons, rel, file)
		switch {
		case err != nil:
			t.Errorf("%s can't be sent (%s), but: %v", rel, why, err)
		case sent[rel] && why != "":
			t.Errorf("%s is sent, although %s", rel, why)
		case !sent[rel] && why == "":
			t.Errorf("%s is neither in FACTS.json as a recording of spans nor known to be none", rel)
		case why != "":
			t.Logf("%s: %s", rel, why)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reasonOf(reasons []notRecording, rel, file string) (string, error) {
	for _, r := range reasons {
		if ok, err := path.Match(r.pattern, rel); err != nil || !ok {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return r.why, err
		}
		return r.why, r.check(raw, file)
	}
	return "", nil
}

func hasMembers(raw []byte, names ...string) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := doc[name]; !ok {
			return fmt.Errorf("it has no member %q", name)
		}
	}
	return hasNone(raw, "traceId", "traceID", "trace_id", "spanId")
}

// hasNone fails when a member of one of these names is anywhere in the file.
func hasNone(raw []byte, names ...string) error {
	for _, name := range names {
		if bytes.Contains(raw, []byte(`"`+name+`":`)) {
			return fmt.Errorf("it has a member %q", name)
		}
	}
	return nil
}
