package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxBatchBytes keeps a request below 4 MiB, the limit of gRPC servers that were not told otherwise; beyond it the
// whole batch would be lost. The sizes are estimates from above, so there is room left.
const maxBatchBytes = 3 << 20

// itemOverhead is more than ids, times and framing of one span or log record take.
const itemOverhead = 256

// cut calls send for runs of items whose sizes add up to at most maxBatchBytes. One larger item goes alone.
func cut[T any](items []T, size func(*T) int, send func([]T) error) error {
	var errs []error
	start, sum := 0, 0
	for i := range items {
		n := size(&items[i])
		if i > start && sum+n > maxBatchBytes {
			errs = append(errs, send(items[start:i]))
			start, sum = i, 0
		}
		sum += n
	}
	if start < len(items) {
		errs = append(errs, send(items[start:]))
	}
	return errors.Join(errs...)
}

// lifeline ends what is still being sent when a shutdown's time is over: the processors wait for their exporters, and
// exporters retry for minutes.
type lifeline struct {
	ctx context.Context
	cut context.CancelFunc
}

func newLifeline() *lifeline {
	ctx, cancel := context.WithCancel(context.Background())
	return &lifeline{ctx, cancel}
}

// bind returns ctx, which also ends with the lifeline, and a function to be called when it is not needed any more.
func (l *lifeline) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// spanExporter cuts batches by size and counts what got through.
type spanExporter struct {
	next   sdktrace.SpanExporter
	counts *Stats
	life   *lifeline
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, done := e.life.bind(ctx)
	defer done()
	return cut(spans, func(s *sdktrace.ReadOnlySpan) int { return spanSize(*s) }, func(part []sdktrace.ReadOnlySpan) error {
		err := e.next.ExportSpans(ctx, part)
		e.counts.spans.exported(len(part), err)
		return err
	})
}

// Shutdown implements sdktrace.SpanExporter.
func (e *spanExporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

// logExporter cuts batches by size and counts what got through.
type logExporter struct {
	next   sdklog.Exporter
	counts *Stats
	life   *lifeline
}

// Export implements sdklog.Exporter.
func (e *logExporter) Export(ctx context.Context, recs []sdklog.Record) error {
	ctx, done := e.life.bind(ctx)
	defer done()
	return cut(recs, recordSize, func(part []sdklog.Record) error {
		err := e.next.Export(ctx, part)
		e.counts.logs.exported(len(part), err)
		return err
	})
}

// Shutdown implements sdklog.Exporter.
func (e *logExporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

// ForceFlush implements sdklog.Exporter.
func (e *logExporter) ForceFlush(ctx context.Context) error { return e.next.ForceFlush(ctx) }

func spanSize(s sdktrace.ReadOnlySpan) int {
	n := itemOverhead + len(s.Name()) + len(s.Status().Description) + attrsSize(s.Attributes())
	for _, e := range s.Events() {
		n += itemOverhead + len(e.Name) + attrsSize(e.Attributes)
	}
	for _, l := range s.Links() {
		n += itemOverhead + attrsSize(l.Attributes)
	}
	return n
}

func attrsSize(attrs []attribute.KeyValue) int {
	n := 0
	for i := range attrs {
		kv := &attrs[i]
		n += len(kv.Key) + 32
		if kv.Value.Type() == attribute.STRING { // nearly all are
			n += len(kv.Value.AsString())
			continue
		}
		n += valueSize(&kv.Value)
	}
	return n
}

func valueSize(v *attribute.Value) int {
	switch v.Type() {
	case attribute.STRING:
		return len(v.AsString())
	case attribute.BOOL, attribute.INT64, attribute.FLOAT64:
		return 8
	case attribute.STRINGSLICE:
		n := 0
		for _, s := range v.AsStringSlice() {
			n += len(s) + 8
		}
		return n
	default:
		return 2 * len(v.String()) // its JSON text; numbers may be longer in the protobuf
	}
}

func recordSize(r *sdklog.Record) int {
	body := r.Body()
	n := itemOverhead + valueSize(&body)
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		n += len(kv.Key) + 32 + valueSize(&kv.Value)
		return true
	})
	return n
}
