package team

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Backuper is a store that can be copied while it runs.
type Backuper interface {
	// Backup writes a tar archive of the store.
	Backup(ctx context.Context, w io.Writer) error
	// Deletions returns the record of what was deleted, for backups made before.
	Deletions() ([]byte, error)
}

// Backups mounts the routes that copy the store, all its projects included.
func (a *API) Backups(b Backuper) {
	stream := func(id, path, summary, media string, body func(ctx context.Context, w io.Writer) error) {
		huma.Register(a.huma, huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: Prefix + path, Summary: summary, MaxBodyBytes: 4 << 10,
			Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{media: {}}}},
		}, func(ctx context.Context, _ *backupInput) (*huma.StreamResponse, error) {
			first, rest, wait := pipe(ctx, body)
			if first == nil {
				if err := wait(); err != nil {
					return nil, problem(err)
				}
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", media)
				copyLines(hc, first, rest, wait)
			}}, nil
		})
	}
	stream("back-up", "/backups", "A copy of the store as a tar archive, made while it runs", "application/x-tar", b.Backup)
	stream("list-deletions", "/backups/deletions", "The record of what was deleted, for the backups made before", "application/x-ndjson",
		func(_ context.Context, w io.Writer) error {
			text, err := b.Deletions()
			if err == nil && len(text) > 0 {
				_, err = w.Write(text)
			}
			return err
		})
}

type backupInput struct {
	JSONOnly
	Body struct{}
}

// copyLines writes a stream; its trailer says that it came through to its end.
func copyLines(hc huma.Context, first []byte, rest <-chan []byte, wait func() error) {
	hc.SetHeader("Trailer", ExportTrailer)
	w := hc.BodyWriter()
	_, err := w.Write(first)
	for part := range rest {
		if err == nil {
			_, err = w.Write(part)
		}
	}
	if wait() == nil && err == nil {
		hc.SetHeader(ExportTrailer, "complete")
	}
}

// pipe runs body in a goroutine that hands over copies of what it writes. first is nil when there is nothing; wait
// returns how it ended and must be called after rest was read to its end.
func pipe(ctx context.Context, body func(ctx context.Context, w io.Writer) error) (first []byte, rest <-chan []byte, wait func() error) {
	parts := make(chan []byte)
	var failed error
	go func() {
		defer close(parts)
		failed = body(ctx, partWriter{ctx, parts})
	}()
	first = <-parts
	return first, parts, func() error { return failed }
}

// partWriter hands each write on.
type partWriter struct {
	ctx   context.Context //nolint:containedctx // an io.Writer of one request
	parts chan<- []byte
}

func (w partWriter) Write(p []byte) (int, error) {
	select {
	case w.parts <- append([]byte{}, p...):
		return len(p), nil
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}
