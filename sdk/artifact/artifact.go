// Package artifact stores what agents make (drafts, images, reports) so that each object can be followed back to the
// work that made it: the ids of the task and the trace are in the object's metadata, and its digest, size, type and
// place are on the spans `save_artifact` and `load_artifact`.
//
//	store := artifact.New(bucket, "s3://drafts") // any bucket of gocloud.dev/blob: files, S3, memory
//	_, err := store.Save(ctx, "task-456/draft.md", text, "text/markdown")
//
// In the flow of the data it is the artifact's hop.
package artifact

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
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

// Names of an object's metadata.
const (
	MetaTaskID  = "task_id"
	MetaTraceID = "trace_id"
	MetaSpanID  = "span_id"
	MetaAgent   = "agent"
	MetaDigest  = "digest"
)

// Errors that Load returns; compare with errors.Is.
var (
	// ErrNotFound is returned when there is no object of the key.
	ErrNotFound = errors.New("artifact not found")
	// ErrCorrupt is returned when an object's content is not what its digest says.
	ErrCorrupt = errors.New("artifact does not match its digest")
	// ErrTooLarge is returned for content over the store's limit.
	ErrTooLarge = errors.New("artifact is too large")
)

// DefaultMaxSize bounds the content of one artifact in bytes, which is held in memory.
const DefaultMaxSize = 256 << 20

// Info describes a stored artifact.
type Info struct {
	// ID is the artifact's name in the team's words; without WithID the last part of the key without its extension.
	ID string
	// Key is the object's key in its bucket.
	Key string
	// Digest is `sha256:` and the hex digits of the content's hash.
	Digest string
	// MediaType is the content's type.
	MediaType string
	// Size is the content's length in bytes.
	Size int64
	// URI is where the object is, empty when the store does not know.
	URI string
	// TaskID, TraceID, SpanID and Agent are of the work that made the artifact; empty when it is unknown. The span is that of
	// the saving.
	TaskID, TraceID, SpanID, Agent string
}

// Store saves and loads artifacts in a bucket. It may be used concurrently.
type Store struct {
	bucket  *blob.Bucket
	baseURI string
	maxSize int64
	tracer  trace.Tracer
}

// Option changes a Store.
type Option interface{ apply(*Store) }

type option func(*Store)

func (f option) apply(s *Store) { f(s) }

// WithMaxSize bounds the content of one artifact, in bytes.
func WithMaxSize(n int64) Option { return option(func(s *Store) { s.maxSize = n }) }

// New returns a Store over the bucket, which stays the caller's. uri says where the bucket is, for example `s3://drafts`
// or `file:///var/lib/team/artifacts`: an artifact's URI is made of it and the key. It may be empty.
func New(bucket *blob.Bucket, uri string, opts ...Option) *Store {
	s := &Store{
		bucket: bucket, baseURI: strings.TrimSuffix(uri, "/"), maxSize: DefaultMaxSize,
		tracer: otel.Tracer("github.com/mindscope/mindscope/sdk/artifact"),
	}
	for _, o := range opts {
		o.apply(s)
	}
	return s
}

// SaveOption changes how one artifact is saved.
type SaveOption interface{ applySave(*Info) }

type saveOption func(*Info)

func (f saveOption) applySave(a *Info) { f(a) }

// WithID gives the artifact a name in the team's words.
func WithID(id string) SaveOption { return saveOption(func(a *Info) { a.ID = id }) }

// Save stores the content under the key, over what is there, with the ids of ctx's task and trace in the object's
// metadata. An empty media type is made of the key's extension.
func (s *Store) Save(ctx context.Context, key string, content []byte, mediaType string, opts ...SaveOption) (_ Info, err error) {
	ctx, span := s.tracer.Start(ctx, "save_artifact")
	defer func() { end(span, err) }()
	sum := sha256.Sum256(content)
	a := Info{
		ID: idOf(key), Key: key, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content)), URI: s.uri(key),
		MediaType: cmp.Or(mediaType, mime.TypeByExtension(path.Ext(key)), "application/octet-stream"),
		TaskID:    sdk.TaskID(ctx), Agent: sdk.AgentFrom(ctx),
	}
	if sc := span.SpanContext(); sc.HasTraceID() {
		a.TraceID, a.SpanID = sc.TraceID().String(), sc.SpanID().String()
	}
	for _, o := range opts {
		o.applySave(&a)
	}
	describe(ctx, span, a)
	if a.Size > s.maxSize {
		return a, fmt.Errorf("save artifact %s: %d bytes, more than %d: %w", key, a.Size, s.maxSize, ErrTooLarge)
	}
	err = s.bucket.WriteAll(quiet(ctx), key, content, &blob.WriterOptions{ContentType: a.MediaType, Metadata: a.metadata()})
	if err != nil {
		return a, fmt.Errorf("save artifact %s: %w", key, err)
	}
	return a, nil
}

// Load returns the content under the key and what is known of it; its span has a link to the one that saved it. Content that does not match the digest it was saved
// with is ErrCorrupt; it is returned all the same.
func (s *Store) Load(ctx context.Context, key string) (_ []byte, _ Info, err error) {
	ctx, span := s.tracer.Start(ctx, "load_artifact")
	defer func() { end(span, err) }()
	a := Info{ID: idOf(key), Key: key, URI: s.uri(key)}
	defer func() { describe(ctx, span, a) }()
	content, err := s.read(quiet(ctx), key, &a)
	link(span, a)
	if err != nil {
		return nil, a, fmt.Errorf("load artifact %s: %w", key, err)
	}
	sum := sha256.Sum256(content)
	saved := a.Digest
	a.Digest = "sha256:" + hex.EncodeToString(sum[:])
	if saved != "" && saved != a.Digest {
		return content, a, fmt.Errorf("load artifact %s: saved with %s, now %s: %w", key, saved, a.Digest, ErrCorrupt)
	}
	return content, a, nil
}

// read fetches content and metadata into a.
func (s *Store) read(ctx context.Context, key string, a *Info) ([]byte, error) {
	attrs, err := s.bucket.Attributes(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, errors.Join(ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	a.MediaType, a.Size = attrs.ContentType, attrs.Size
	a.TaskID, a.TraceID, a.Agent = attrs.Metadata[MetaTaskID], attrs.Metadata[MetaTraceID], attrs.Metadata[MetaAgent]
	a.SpanID, a.Digest = attrs.Metadata[MetaSpanID], attrs.Metadata[MetaDigest]
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(io.LimitReader(r, s.maxSize+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(b.Len()) > s.maxSize {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", a.Size, s.maxSize, ErrTooLarge)
	}
	a.Size = int64(b.Len())
	return b.Bytes(), nil
}

func (a Info) metadata() map[string]string {
	m := map[string]string{MetaDigest: a.Digest}
	for name, v := range map[string]string{MetaTaskID: a.TaskID, MetaTraceID: a.TraceID, MetaSpanID: a.SpanID, MetaAgent: a.Agent} {
		if v != "" {
			m[name] = v
		}
	}
	return m
}

// link ties the span that loads an artifact to the one that saved it, which may be of another task and long ago.
func link(span trace.Span, a Info) {
	traceID, err := trace.TraceIDFromHex(a.TraceID)
	if err != nil {
		return
	}
	spanID, err := trace.SpanIDFromHex(a.SpanID)
	if err != nil {
		return
	}
	span.AddLink(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true,
	})})
}

func idOf(key string) string {
	base := path.Base(key)
	if id := strings.TrimSuffix(base, path.Ext(base)); id != "" {
		return id
	}
	return base
}

func (s *Store) uri(key string) string {
	if s.baseURI == "" {
		return ""
	}
	return s.baseURI + "/" + key
}

// quiet hides the trace from the bucket, whose own spans (one a method, named by Go packages) would bury ours.
func quiet(ctx context.Context) context.Context {
	sc := trace.SpanContextFromContext(ctx)
	return trace.ContextWithSpanContext(ctx, sc.WithTraceFlags(sc.TraceFlags().WithSampled(false)))
}

func describe(ctx context.Context, span trace.Span, a Info) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(sdk.Attributes(ctx)...)
	for _, f := range [...]struct{ key, value string }{
		{conv.AITeamArtifactID, a.ID},
		{conv.AITeamArtifactKey, a.Key},
		{conv.AITeamArtifactDigest, a.Digest},
		{conv.AITeamArtifactMediaType, a.MediaType},
		{conv.AITeamArtifactURI, a.URI},
	} {
		if f.value != "" {
			span.SetAttributes(attribute.String(f.key, f.value))
		}
	}
	if a.Digest != "" {
		span.SetAttributes(attribute.Int64(conv.AITeamArtifactSize, a.Size))
	}
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String(conv.ErrorType, errorType(err)))
		span.RecordError(err)
	}
	span.End()
}

// errorType returns the class of an error, of which there are few.
func errorType(err error) string {
	switch {
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrCorrupt):
		return "corrupt"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	default:
		return strings.ToLower(gcerrors.Code(err).String())
	}
}
