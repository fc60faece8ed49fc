package artifact_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/artifact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func record(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	old := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(old) })
	return spans
}

func memory(t *testing.T) *blob.Bucket {
	t.Helper()
	b := memblob.OpenBucket(nil)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func attrs(s sdktrace.ReadOnlySpan) map[string]any {
	m := map[string]any{}
	for _, kv := range s.Attributes() {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

const helloDigest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func TestSaveAndLoad(t *testing.T) {
	spans := record(t)
	dir := t.TempDir()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	store := artifact.New(bucket, "file://"+dir+"/")
	ctx, task := sdk.StartTask(t.Context(), "Aufgabe №7")
	ctx, agent := sdk.StartAgent(ctx, "writer")
	const key = "task-456/draft.md"
	saved, err := store.Save(ctx, key, []byte("hello"), "text/markdown")
	if err != nil {
		t.Fatal(err)
	}
	traceID := task.Span().SpanContext().TraceID().String()
	want := artifact.Info{
		ID: "draft", Key: key, Digest: helloDigest, MediaType: "text/markdown", Size: 5, URI: "file://" + dir + "/" + key,
		TaskID: "Aufgabe №7", TraceID: traceID, SpanID: spans.Ended()[0].SpanContext().SpanID().String(), Agent: "writer",
	}
	if diff := cmp.Diff(want, saved); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	content, loaded, err := store.Load(ctx, key)
	if err != nil || string(content) != "hello" {
		t.Errorf("loaded %q, %v", content, err)
	}
	if diff := cmp.Diff(want, loaded); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	agent.End(nil)
	task.End(nil)
	ended := spans.Ended()
	if links := ended[1].Links(); len(links) != 1 || links[0].SpanContext.SpanID() != ended[0].SpanContext().SpanID() {
		t.Errorf("the loading links to %+v, want the saving", links)
	}

	// The object itself names its task.
	object, err := bucket.Attributes(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{"task_id": "Aufgabe №7", "trace_id": traceID, "span_id": want.SpanID, "agent": "writer", "digest": helloDigest}
	if diff := cmp.Diff(meta, object.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	checkSpans(t, ended, agent, map[string]any{
		"ai_team.task.id": "Aufgabe №7", "gen_ai.agent.name": "writer", "ai_team.artifact.id": "draft",
		"ai_team.artifact.key": key, "ai_team.artifact.digest": helloDigest, "ai_team.artifact.media_type": "text/markdown",
		"ai_team.artifact.size": int64(5), "ai_team.artifact.uri": "file://" + dir + "/" + key,
	})
}

// checkSpans also sees to it that the bucket's own spans stay out.
func checkSpans(t *testing.T, spans []sdktrace.ReadOnlySpan, agent *sdk.Agent, want map[string]any) {
	t.Helper()
	var names []string
	for _, s := range spans {
		names = append(names, s.Name())
		if !strings.HasSuffix(s.Name(), "_artifact") {
			continue
		}
		if s.Parent().SpanID() != agent.Span().SpanContext().SpanID() {
			t.Errorf("%s is no child of the agent's span", s.Name())
		}
		if diff := cmp.Diff(want, attrs(s)); diff != "" {
			t.Errorf("attributes of %s (-want +got):\n%s", s.Name(), diff)
		}
	}
	if diff := cmp.Diff([]string{"save_artifact", "load_artifact", "invoke_agent writer", "execute_task"}, names); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestSaveDefaults(t *testing.T) {
	store := artifact.New(memory(t), "")
	f := func(key, wantID, wantType string) {
		t.Helper()
		a, err := store.Save(t.Context(), key, nil, "")
		if err != nil {
			t.Error(err)
		}
		if a.ID != wantID || a.MediaType != wantType || a.TaskID != "" || a.URI != "" {
			t.Errorf("%s: got %+v, want id %q and type %q", key, a, wantID, wantType)
		}
	}
	f("a/b/chart.png", "chart", "image/png")
	f("notes", "notes", "application/octet-stream")
	f("a/.hidden", ".hidden", "application/octet-stream")
	a, err := store.Save(t.Context(), "x.json", nil, "", artifact.WithID("result"))
	if err != nil || a.ID != "result" {
		t.Errorf("id is %q, %v", a.ID, err)
	}
}

func TestFailure(t *testing.T) {
	spans := record(t)
	bucket := memory(t)
	store := artifact.New(bucket, "", artifact.WithMaxSize(10))
	ctx := t.Context()
	for key, content := range map[string]string{"large": "more than ten bytes", "changed": "after"} {
		opts := &blob.WriterOptions{Metadata: map[string]string{artifact.MetaDigest: helloDigest}}
		if err := bucket.WriteAll(ctx, key, []byte(content), opts); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want error, wantType string, do func(context.Context) error) {
		t.Helper()
		err := do(ctx)
		ended := spans.Ended()
		s := ended[len(ended)-1]
		if !errors.Is(err, want) || s.Status().Code != codes.Error || attrs(s)["error.type"] != wantType || len(s.Events()) != 1 {
			t.Errorf("error %v, status %v, error.type %v, %d events; want %v, %q",
				err, s.Status(), attrs(s)["error.type"], len(s.Events()), want, wantType)
		}
	}
	load := func(key string) func(context.Context) error {
		return func(ctx context.Context) error { _, _, err := store.Load(ctx, key); return err }
	}
	f(artifact.ErrNotFound, "not_found", load("missing"))
	f(artifact.ErrTooLarge, "too_large", load("large"))
	f(artifact.ErrCorrupt, "corrupt", load("changed"))
	f(artifact.ErrTooLarge, "too_large", func(ctx context.Context) error {
		_, err := store.Save(ctx, "k", make([]byte, 11), "")
		return err
	})
	f(context.Canceled, "cancelled", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := store.Save(ctx, "k", nil, "")
		return err
	})
}

// TestForeignObjects: what others put into the bucket can be loaded.
func TestForeignObjects(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "by-hand.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	bucket, err := fileblob.OpenBucket(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	content, a, err := artifact.New(bucket, "").Load(t.Context(), "by-hand.txt")
	if err != nil || string(content) != "hello" || a.Digest != helloDigest || a.TaskID != "" || a.Size != 5 {
		t.Errorf("got %q, %+v, %v", content, a, err)
	}
}
