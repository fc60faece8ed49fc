package team

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// heldBack is what a span's capture column says when its content was held back until its task failed.
const heldBack = "failed-only"

// addContent adds to spans the content that was stored apart from them since their task failed.
func (q *Questions) addContent(ctx context.Context, p signal.Project, spans []*store.Row) error {
	waiting := map[string]*store.Row{}
	traces := map[string]bool{}
	var at signal.TimeRange
	for _, r := range spans {
		if r.Kind == store.KindSpan && r.Text(store.FieldCapture) == heldBack {
			waiting[r.ID] = r
			traces[r.Text(store.FieldTraceID)] = true
			at = at.Include(r.Time)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	ids := make([]string, 0, len(traces))
	for id := range traces {
		ids = append(ids, id)
	}
	rows := q.events.Select(ctx, p, store.Select{Scope: store.Scope{
		Kind: store.KindContent, Time: at, Filter: store.In{Field: store.FieldTraceID, Values: ids},
	}})
	for r, err := range rows {
		if errors.Is(err, store.ErrPartial) {
			return nil // the spans are whole without it
		}
		if err != nil {
			return fmt.Errorf("read content of failed tasks: %w", err)
		}
		span, ok := waiting[r.ID]
		if !ok {
			continue
		}
		for _, f := range r.Clone().Fields {
			if strings.HasPrefix(f.Name, store.PrefixAttr) && !span.Has(f.Name) {
				span.Add(f.Name, f.Value)
			}
		}
	}
	return nil
}
