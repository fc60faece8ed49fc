package artifact_test

import (
	"context"
	"fmt"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/artifact"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

func TestSaveAndLoad(t *testing.T) {
	rec := sdktest.New(t)
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	store := artifact.New(bucket, "mem://")
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	ctx, agent := sdk.StartAgent(ctx, "writer")
	saved, err := store.Save(ctx, "task-456/draft.md", []byte("# Draft"), "text/markdown")
	if err != nil {
		t.Fatal(err)
	}
	content, loaded, err := store.Load(ctx, "task-456/draft.md")
	if err != nil {
		t.Fatal(err)
	}
	agent.End(nil)
	task.End(nil)
	if string(content) != "# Draft" || loaded != saved {
		t.Errorf("loaded %q %+v, saved %+v", content, loaded, saved)
	}
	attrs, err := bucket.Attributes(t.Context(), "task-456/draft.md")
	if err != nil {
		t.Fatal(err)
	}
	span := rec.Named("save_artifact")[0]
	if attrs.Metadata[artifact.MetaTaskID] != "task-456" || attrs.Metadata[artifact.MetaTraceID] != span.SpanContext().TraceID().String() {
		t.Errorf("metadata %v", attrs.Metadata)
	}
	if got := sdktest.Attr(span, conv.AITeamArtifactSize).AsInt64(); got != 7 {
		t.Errorf("size on the span is %d, want 7", got)
	}
	if _, _, err := store.Load(ctx, "nope"); err == nil {
		t.Error("an artifact that isn't there was loaded")
	}
}

func ExampleStore_Save() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	store := artifact.New(bucket, "mem://artifacts")
	info, err := store.Save(context.Background(), "draft.md", []byte("# Draft"), "text/markdown")
	fmt.Println(info.Key, info.Size, err)
	// Output: draft.md 7 <nil>
}
