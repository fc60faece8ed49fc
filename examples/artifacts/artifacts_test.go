package artifacts

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/artifact"
	"github.com/mindscope/mindscope/sdk/conv"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// startS3 starts a server that speaks S3, with a bucket named drafts, and returns the bucket's address.
func startS3(t *testing.T) (address, endpoint string) {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server())
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return "s3://drafts?region=us-east-1&use_path_style=true&disable_https=true&endpoint=" + url.QueryEscape(server.URL), server.URL
}

// TestStores saves and loads in a bucket of S3 and in a folder: the ids are in the object's metadata, the digest and the size
// on the spans, and what was loaded leads back to what saved it.
func TestStores(t *testing.T) {
	s3Address, _ := startS3(t)
	for name, address := range map[string]string{"s3": s3Address, "file": "file://" + t.TempDir() + "?no_tmp_dir=true"} {
		t.Run(name, func(t *testing.T) {
			rec := sdktest.New(t)
			store, bucket, err := Open(t.Context(), address, name+"://drafts")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = bucket.Close() }()
			ctx, task := sdk.StartTask(t.Context(), "Aufgabe №7")
			ctx, agent := sdk.StartAgent(ctx, "writer")
			content := bytes.Repeat([]byte("bees "), 1<<20)
			saved, err := store.Save(ctx, "task-7/draft.md", content, "text/markdown")
			if err != nil {
				t.Fatal(err)
			}
			loaded, info, err := store.Load(ctx, "task-7/draft.md")
			if err != nil || !bytes.Equal(loaded, content) || info != saved {
				t.Errorf("loaded %d bytes, %+v, %v; saved %+v", len(loaded), info, err, saved)
			}
			agent.End(nil)
			task.End(nil)
			attrs, err := bucket.Attributes(t.Context(), "task-7/draft.md")
			if err != nil {
				t.Fatal(err)
			}
			m := attrs.Metadata
			if m[artifact.MetaTaskID] != "Aufgabe №7" || m[artifact.MetaTraceID] != saved.TraceID || m[artifact.MetaAgent] != "writer" || m[artifact.MetaDigest] != saved.Digest {
				t.Errorf("metadata %v", m)
			}
			save, load := rec.Named("save_artifact"), rec.Named("load_artifact")
			if len(save) != 1 || len(load) != 1 || len(rec.Task("Aufgabe №7")) != 4 {
				t.Fatalf("%d spans, want save, load, agent and task", len(rec.Task("Aufgabe №7")))
			}
			if len(load[0].Links()) != 1 || load[0].Links()[0].SpanContext.SpanID() != save[0].SpanContext().SpanID() {
				t.Errorf("the loading links to %+v", load[0].Links())
			}
			if sdktest.Attr(load[0], conv.AITeamArtifactDigest).AsString() != saved.Digest || sdktest.Attr(load[0], conv.AITeamArtifactSize).AsInt64() != int64(len(content)) {
				t.Errorf("attributes %v", load[0].Attributes())
			}
			if _, _, err := store.Load(ctx, "nowhere.md"); !errors.Is(err, artifact.ErrNotFound) {
				t.Errorf("what is not there: %v", err)
			}
		})
	}
}

// TestMetadataOnTheWire reads an object with a client of S3 that knows nothing of us, and puts one there whose digest is another's.
func TestMetadataOnTheWire(t *testing.T) {
	address, endpoint := startS3(t)
	sdktest.New(t)
	store, bucket, err := Open(t.Context(), address, "s3://drafts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bucket.Close() }()
	ctx, task := sdk.StartTask(t.Context(), "task-456")
	saved, err := store.Save(ctx, "draft.md", []byte("# Bees"), "")
	if err != nil {
		t.Fatal(err)
	}
	task.End(nil)
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	})
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("drafts"), Key: aws.String("draft.md")})
	if err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{}
	for k, v := range head.Metadata {
		meta[strings.ToLower(k)] = v
	}
	if meta["task_id"] != "task-456" || meta["trace_id"] != saved.TraceID || meta["digest"] != saved.Digest {
		t.Errorf("the object's metadata are %v", head.Metadata)
	}
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("drafts"), Key: aws.String("other.md"), Body: strings.NewReader("# Wasps"),
		Metadata: map[string]string{artifact.MetaDigest: saved.Digest},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Load(t.Context(), "other.md"); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("an object that is not what its metadata say: %v", err)
	}
}
