package artifact_test

import (
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob/memblob"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/artifact"
)

func Example() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	store := artifact.New(bucket, "mem://drafts", artifact.WithMaxSize(1<<20))

	ctx, task := sdk.StartTask(context.Background(), "task-456")
	defer task.End(nil)
	_, err := store.Save(ctx, "task-456/draft.md", []byte("# Bees"), "text/markdown")
	fmt.Println(err)
	content, a, err := store.Load(ctx, "task-456/draft.md")
	fmt.Println(string(content), a.ID, a.Size, a.TaskID, err)
	// Output:
	// <nil>
	// # Bees draft 6 task-456 <nil>
}

func ExampleStore_Save() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	a, err := artifact.New(bucket, "").Save(context.Background(), "2026/report.html", []byte("<p>Bees</p>"), "", artifact.WithID("report"))
	fmt.Println(a.ID, a.MediaType, a.Digest[:15], err)
	// Output: report text/html; charset=utf-8 sha256:4a8853dd <nil>
}

func ExampleStore_Load() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	_, _, err := artifact.New(bucket, "").Load(context.Background(), "nowhere.md")
	fmt.Println(errors.Is(err, artifact.ErrNotFound))
	// Output: true
}

// What an object's metadata says of the work that made it.
func ExampleNew() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	store := artifact.New(bucket, "mem://drafts")
	ctx := sdk.JoinTask(context.Background(), "task-456")
	a, err := store.Save(ctx, "draft.md", []byte("# Bees"), "text/markdown")
	if err != nil {
		fmt.Println(err)
		return
	}
	attrs, err := bucket.Attributes(ctx, "draft.md")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(attrs.Metadata[artifact.MetaTaskID], attrs.Metadata[artifact.MetaDigest] == a.Digest, a.URI)
	// Output: task-456 true mem://drafts/draft.md
}

// Content that is too large is refused before anything is stored.
func ExampleWithMaxSize() {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	_, err := artifact.New(bucket, "", artifact.WithMaxSize(3)).Save(context.Background(), "draft.md", []byte("# Bees"), "")
	fmt.Println(errors.Is(err, artifact.ErrTooLarge), artifact.DefaultMaxSize)
	// Output: true 268435456
}
