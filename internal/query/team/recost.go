package team

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// RecostQuery asks what calls would cost by the prices of now, or by others.
type RecostQuery struct {
	Since, Until time.Time
	// Team and Model narrow to one team and one model; "" is all.
	Team, Model string
	// Apply stores the new costs. Without it nothing is changed.
	Apply bool
	// AsModel prices all calls as calls of another model, File by other prices in place of the operator's own (YAML):
	// questions of what if, which can't be applied.
	AsModel string
	File    []byte
}

// RecostLine is what becomes of the calls of one model.
type RecostLine struct {
	Provider, Model string
	// Calls were looked at; Changed get another cost, First of them one for the first time. Unknown have no price now
	// and keep the cost they have.
	Calls, Changed, First, Unknown int64
	// Before and After are the costs of all these calls, by the leaf rule.
	Before, After PicoUSD
}

// Recost is the answer.
type Recost struct {
	Version string
	Applied bool
	Lines   []RecostLine
	// Before and After are the sums of the lines; Stored counts the spans that got a new cost, wrappers included.
	Before, After PicoUSD
	Stored        int64
}

// ErrWhatIf refuses to store what was only asked.
var ErrWhatIf = errors.New("another model or price file is a question of what if and can't be applied: put prices of your own into the file that prices: names, then recost")

// recostPage is how many spans are read, and how many new costs written, at once.
const recostPage = 5000

// Recost computes costs anew by the prices at the time of each call. What a provider reported stays. With Apply, each
// cost that differs becomes a row of its own with a higher revision: nothing is overwritten, and every reader takes the
// newest.
func (c *Costs) Recost(ctx context.Context, p signal.Project, q RecostQuery) (Recost, error) {
	if q.Apply && (q.AsModel != "" || q.File != nil) {
		return Recost{}, signal.Permanent(ErrWhatIf)
	}
	book := c.prices()
	if q.File != nil {
		var err error
		if book, err = book.With(q.File); err != nil {
			return Recost{}, signal.Permanent(err)
		}
	}
	out := Recost{Version: book.Version(), Applied: q.Apply}
	lines := map[[2]string]*RecostLine{}
	err := c.each(ctx, p, q.Since, q.Until, func(s *costSpan) error {
		if q.Team != "" && s.Team != q.Team || q.Model != "" && s.Model != q.Model {
			return nil
		}
		key := [2]string{s.provider, s.Model}
		line, ok := lines[key]
		if !ok {
			line = &RecostLine{Provider: s.provider, Model: s.Model}
			lines[key] = line
		}
		line.add(s, book, q.AsModel)
		return nil
	})
	if err != nil {
		return out, err
	}
	for _, l := range lines {
		out.Lines = append(out.Lines, *l)
		out.Before, out.After = out.Before.plus(l.Before), out.After.plus(l.After)
	}
	slices.SortFunc(out.Lines, func(a, b RecostLine) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Provider, b.Provider))
	})
	if q.Apply {
		out.Stored, err = c.apply(ctx, p, q, book)
	}
	return out, err
}

// reprice returns the new cost of a call; false when it keeps the one it has.
func reprice(call Call, source, asModel string, whatIf bool, book Prices) (priced Priced, known, changeable bool) {
	if source == "provider" && !whatIf {
		return Priced{}, false, false
	}
	if asModel != "" {
		call.Provider, call.Model, call.RequestModel = "", asModel, ""
	}
	priced, known = book.Price(call)
	return priced, known, true
}

func (l *RecostLine) add(s *costSpan, book Prices, asModel string) {
	l.Calls++
	l.Before = l.Before.plus(s.Cost)
	after := s.Cost
	priced, known, changeable := reprice(s.call, s.source, asModel, asModel != "", book)
	switch {
	case !changeable || !s.HasTokens:
	case !known:
		l.Unknown++
	case !s.HasCost:
		l.First++
		l.Changed++
		after = priced.Cost
	case priced.Cost != s.Cost:
		l.Changed++
		after = priced.Cost
	}
	l.After = l.After.plus(after)
}

// apply writes the new costs, of wrappers too: what counts is the readers' business.
func (c *Costs) apply(ctx context.Context, p signal.Project, q RecostQuery, book Prices) (int64, error) {
	stats, err := c.events.Stats(ctx)
	if err != nil {
		return 0, err
	}
	at := stats.Accept
	if !q.Since.IsZero() {
		at.Start = max(at.Start, q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		at.End = min(at.End, q.Until.UnixNano())
	}
	filter := store.And{used()}
	for field, text := range map[string]string{store.FieldTeam: q.Team, store.FieldModel: q.Model} {
		if text != "" {
			filter = append(filter, store.Eq(field, text))
		}
	}
	defer c.changed(p)
	scope := store.Scope{Kind: store.KindSpan, Time: at, Filter: filter}
	revision, limit := c.clock().UnixNano(), recostPage
	var stored int64
	var after place
	for {
		page, err := c.page(ctx, p, scope, limit)
		if err != nil {
			return stored, err
		}
		var fresh []store.Row
		for _, r := range page {
			if row, ok := newCost(r, book, revision); ok && (r.Time > after.Time || r.ID > after.ID) {
				fresh = append(fresh, row)
			}
		}
		if len(fresh) > 0 {
			rejected, err := c.writer.Write(ctx, p, fresh)
			if err != nil {
				return stored, fmt.Errorf("store new costs: %w", err)
			}
			stored += int64(len(fresh)) - rejected.Items
		}
		if len(page) < limit {
			return stored, nil
		}
		last := page[len(page)-1]
		if page[0].Time == last.Time { // all of one instant: only a larger page gets beyond it
			limit *= 2
		}
		scope.Time.Start, after = last.Time, place{Time: last.Time, ID: last.ID}
	}
}

// page reads the first rows of a scope.
func (c *Costs) page(ctx context.Context, p signal.Project, scope store.Scope, limit int) ([]*store.Row, error) {
	var page []*store.Row
	rows := c.events.Select(ctx, p, store.Select{
		Scope: scope, Fields: append(costFields(), carried()...), Order: store.OldestFirst, Limit: limit,
	})
	for r, err := range rows {
		if err != nil {
			return nil, fmt.Errorf("read costs: %w", err)
		}
		page = append(page, r.Clone())
	}
	return page, nil
}

// carried are the fields that a cost row repeats of its span, so that whoever removes a task or a user finds it.
func carried() []string {
	return []string{
		store.FieldService, store.FieldTeam, store.FieldTaskID, store.FieldTaskType, store.FieldAgent, store.FieldOperation,
		store.FieldProvider, store.FieldModel, store.FieldConversation, store.FieldUser,
	}
}

// newCost returns the row of a span's new cost; false when it stays as it is.
func newCost(r *store.Row, book Prices, revision int64) (store.Row, bool) {
	s := spanOf(r)
	priced, known, changeable := reprice(callOf(r), r.Text(store.FieldCostSource), "", false, book)
	if !changeable || !known || !s.HasTokens || s.HasCost && s.Cost == priced.Cost {
		return store.Row{}, false
	}
	row := store.Row{Kind: store.KindCost, ID: r.ID, Time: r.Time}
	row.Add(store.FieldRevision, store.Int(revision))
	row.Add(store.FieldTraceID, store.String(s.TraceID))
	row.Add(store.FieldSpanID, store.String(s.SpanID))
	for _, f := range carried() {
		if text := r.Text(f); text != "" {
			row.Add(f, store.String(text))
		}
	}
	row.Add(store.FieldCostMicro, store.Int(int64(priced.Cost)/1_000_000))
	row.Add(store.FieldCostRest, store.Int(int64(priced.Cost)%1_000_000))
	row.Add(store.FieldCostSource, store.String("prices"))
	row.Add(store.FieldPriceVersion, store.String(book.Version()))
	row.Add(store.FieldCostParts, store.String(priced.Parts))
	return row, true
}
