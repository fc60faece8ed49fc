// Package artifact stores what a team makes, so that the object itself knows its task: trace id and task id are written
// into the object's metadata, and the span says key, digest, size and type.
//
//	bucket, err := blob.OpenBucket(ctx, "file:///var/lib/team/artifacts")
//	store := artifact.New(bucket, "file:///var/lib/team/artifacts")
//	info, err := store.Save(ctx, "task-456/draft.md", draft, "text/markdown")
//
// It wraps a bucket of gocloud.dev/blob: a folder, S3, GCS or Azure. It is the artifact's hop in the flow of the data.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/conv"
)

// Keys of an object's metadata.
const (
	MetaTraceID = "trace_id"
	MetaTaskID  = "task_id"
	MetaAgent   = "agent"
	MetaDigest  = "digest"
)

// Store saves and loads artifacts in a bucket. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	uri    string
}

// Info describes a stored artifact.
type Info struct {
	// Key is the object's key in the bucket, URI where it is.
	Key, URI string
	// Digest is "sha256:" and the hex digits of the content's SHA-256.
	Digest    string
	MediaType string
	// Size is in bytes.
	Size int64
	// TaskID and TraceID are what the object's metadata says of its origin, "" when it says nothing.
	TaskID, TraceID string
}

// New returns a Store on bucket. uri is the bucket's address for people who look for an object; it may be empty.
// The bucket stays the caller's, who closes it.
func New(bucket *blob.Bucket, uri string) *Store {
	return &Store{bucket: bucket, uri: strings.TrimRight(uri, "/")}
}

// Save writes content under key, in place of what was there, as work of ctx's task.
func (s *Store) Save(ctx context.Context, key string, content []byte, mediaType string) (info Info, err error) {
	ctx, span := s.start(ctx, "save_artifact", key)
	defer func() { end(span, err) }()
	sum := sha256.Sum256(content)
	info = Info{
		Key: key, URI: s.at(key), Digest: "sha256:" + hex.EncodeToString(sum[:]), MediaType: mediaType,
		Size: int64(len(content)), TaskID: sdk.TaskID(ctx),
	}
	if sc := span.SpanContext(); sc.HasTraceID() {
		info.TraceID = sc.TraceID().String()
	}
	describe(span, info)
	meta := map[string]string{MetaDigest: info.Digest}
	for k, v := range map[string]string{MetaTraceID: info.TraceID, MetaTaskID: info.TaskID, MetaAgent: sdk.AgentFrom(ctx)} {
		if v != "" {
			meta[k] = v
		}
	}
	if err := s.bucket.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: mediaType, Metadata: meta}); err != nil {
		return info, fmt.Errorf("save artifact %s: %w", key, err)
	}
	return info, nil
}

// Load reads the artifact under key and checks its digest, if the object has one.
func (s *Store) Load(ctx context.Context, key string) (content []byte, info Info, err error) {
	ctx, span := s.start(ctx, "load_artifact", key)
	defer func() { end(span, err) }()
	attrs, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return nil, info, fmt.Errorf("load artifact %s: %w", key, err)
	}
	if content, err = s.bucket.ReadAll(ctx, key); err != nil {
		return nil, info, fmt.Errorf("load artifact %s: %w", key, err)
	}
	sum := sha256.Sum256(content)
	info = Info{
		Key: key, URI: s.at(key), Digest: "sha256:" + hex.EncodeToString(sum[:]), MediaType: attrs.ContentType,
		Size: int64(len(content)), TaskID: attrs.Metadata[MetaTaskID], TraceID: attrs.Metadata[MetaTraceID],
	}
	describe(span, info)
	if want := attrs.Metadata[MetaDigest]; want != "" && want != info.Digest {
		return nil, info, fmt.Errorf("load artifact %s: its digest is %s, it was saved with %s", key, info.Digest, want)
	}
	return content, info, nil
}

func (s *Store) start(ctx context.Context, name, key string) (context.Context, trace.Span) {
	attrs := append(sdk.Attributes(ctx), attribute.String(conv.AITeamArtifactKey, key))
	return otel.Tracer(sdk.ScopeName+"/artifact").Start(ctx, name, trace.WithAttributes(attrs...))
}

func describe(span trace.Span, info Info) {
	span.SetAttributes(
		attribute.String(conv.AITeamArtifactDigest, info.Digest),
		attribute.String(conv.AITeamArtifactMediaType, info.MediaType),
		attribute.Int64(conv.AITeamArtifactSize, info.Size))
	if info.URI != "" {
		span.SetAttributes(attribute.String(conv.AITeamArtifactURI, info.URI))
	}
}

func end(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetAttributes(attribute.String(conv.ErrorType, strings.ToLower(gcerrors.Code(err).String())))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

func (s *Store) at(key string) string {
	if s.uri == "" {
		return ""
	}
	return s.uri + "/" + key
}
