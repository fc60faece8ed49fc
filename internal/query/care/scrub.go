package care

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// Scrubbed stands where scrubbed text was.
	Scrubbed = "[scrubbed]"
	// maxPattern bounds an expression, in bytes.
	maxPattern = 4096
	// rowsPerScrub and bytesPerScrub bound the rows that are rewritten at once, and their texts.
	rowsPerScrub  = 500
	bytesPerScrub = 32 << 20
	// scrubRounds is how often rows are looked at that others changed while they were rewritten.
	scrubRounds = 3
)

// Scrub says what to take out.
type Scrub struct {
	// Match is an RE2 expression; what it matches in any text, attribute names included, becomes Scrubbed.
	Match string
	// Time limits the rows.
	Time signal.TimeRange
	// DryRun only counts.
	DryRun bool
}

func (s Scrub) compile() (*regexp.Regexp, error) {
	if s.Match == "" || len(s.Match) > maxPattern {
		return nil, signal.Permanent(fmt.Errorf("an expression of 1 to %d bytes is needed", maxPattern))
	}
	re, err := regexp.Compile(s.Match)
	if err != nil {
		return nil, signal.Permanent(errors.New("the expression is no RE2 expression (https://github.com/google/re2/wiki/Syntax)"))
	}
	if re.MatchString("") {
		return nil, signal.Permanent(errors.New("the expression matches the empty text: it would match everywhere"))
	}
	if re.MatchString(Scrubbed) {
		return nil, signal.Permanent(errors.New("the expression matches " + Scrubbed + ", which takes the place of what it matches"))
	}
	if s.Time.Empty() {
		return nil, signal.Permanent(errors.New("the range of time is empty"))
	}
	return re, nil
}

// Scrub rewrites the rows in which the expression matches: they stay, without what it matches. Their payloads go when
// no other row uses them. No row is lost, whatever stops it in the middle: each is as it was or rewritten, and another Scrub goes
// on with the rest. Rows that pass their retention meanwhile are removed, and counted.
func (c *Care) Scrub(ctx context.Context, p signal.Project, s Scrub) (*Receipt, error) {
	re, err := s.compile()
	if err != nil {
		return nil, err
	}
	if !c.busy.TryLock() {
		return nil, ErrBusy
	}
	defer c.busy.Unlock()
	start := c.clock()
	r := &Receipt{Project: p, What: "scrub", DryRun: s.DryRun, At: start.UTC(), Rows: map[store.Kind]int64{}, MayRemain: mayRemain()}
	for _, k := range kinds() {
		if err := c.scrubKind(ctx, r, store.Scope{Kind: k, Time: s.Time}, re); err != nil {
			return nil, fmt.Errorf("scrub %ss: %w", k, err)
		}
	}
	r.Took = c.clock().Sub(start)
	return r, nil
}

// scrubKind scrubs the rows in scope. Those that others changed meanwhile are looked at again.
func (c *Care) scrubKind(ctx context.Context, r *Receipt, s store.Scope, re *regexp.Regexp) error {
	for round := 1; ; round++ {
		ids, err := c.matching(ctx, r.Project, s, re)
		if err != nil {
			return fmt.Errorf("look for matches: %w", err)
		}
		if r.DryRun {
			r.count(s.Kind, int64(len(ids)))
			return nil
		}
		kept, err := c.rewriteAll(ctx, r, s.Kind, ids, re)
		if err != nil {
			return err
		}
		if kept.Items == 0 {
			return nil
		}
		if round == scrubRounds {
			return fmt.Errorf("%d rows stay as they are: %s", kept.Items, kept.Message())
		}
	}
}

// matching returns the ids of the rows that the expression matches in.
func (c *Care) matching(ctx context.Context, p signal.Project, s store.Scope, re *regexp.Regexp) ([]string, error) {
	var ids []string
	for r, err := range c.events.Select(ctx, p, store.Select{Scope: s}) {
		if err != nil {
			return nil, err
		}
		if scrubRow(r, re) {
			ids = append(ids, strings.Clone(r.ID))
		}
	}
	return ids, nil
}

// rewriteAll rewrites rows, some at a time, and returns those that the store kept.
func (c *Care) rewriteAll(ctx context.Context, r *Receipt, k store.Kind, ids []string, re *regexp.Regexp) (signal.Rejected, error) {
	var kept signal.Rejected
	for len(ids) > 0 {
		part := ids[:min(rowsPerScrub, len(ids))]
		ids = ids[len(part):]
		rows, left, err := c.scrubbed(ctx, r.Project, k, part, re)
		if err != nil {
			return kept, err
		}
		ids = append(left, ids...)
		done, err := c.events.Replace(ctx, r.Project, k, rows)
		if err != nil {
			return kept, err
		}
		r.count(k, done.Rows)
		r.Expired += done.Expired
		kept.Merge(done.Kept)
	}
	return kept, nil
}

// scrubbed returns rows as they are to be, and the ids of those that were too much for now.
func (c *Care) scrubbed(ctx context.Context, p signal.Project, k store.Kind, ids []string, re *regexp.Regexp) (rows []store.Row, left []string, err error) {
	s := store.Scope{Kind: k, Time: signal.AllTime(), Filter: store.In{Field: store.FieldRowID, Values: ids}}
	seen, size := map[string]bool{}, 0
	for r, err := range c.events.Select(ctx, p, store.Select{Scope: s}) {
		if err != nil {
			return nil, nil, err
		}
		if size >= bytesPerScrub {
			continue // an answer that is not whole says so at its end
		}
		row := r.Clone()
		scrubRow(row, re)
		rows, seen[row.ID] = append(rows, *row), true
		for _, f := range row.Fields {
			size += len(f.Value.Text())
		}
	}
	if size < bytesPerScrub {
		return rows, nil, nil
	}
	for _, id := range ids {
		if !seen[id] {
			left = append(left, id)
		}
	}
	return rows, left, nil
}

// scrubRow takes the matches out of a row's texts and tells whether there were any.
func scrubRow(r *store.Row, re *regexp.Regexp) bool {
	changed := false
	for i := range r.Fields {
		f := &r.Fields[i]
		if prefix, name := attribute(f.Name); prefix != "" && re.MatchString(name) {
			f.Name = prefix + re.ReplaceAllLiteralString(name, Scrubbed)
			changed = true
		}
		if v, ok := scrubValue(f.Value, re); ok {
			f.Value = v
			changed = true
		}
	}
	return changed
}

// attribute splits the name of an attribute's field. Other fields have names of ours.
func attribute(field string) (prefix, name string) {
	for _, prefix := range []string{store.PrefixResource, store.PrefixScopeAttr, store.PrefixAttr} {
		if name, ok := strings.CutPrefix(field, prefix); ok {
			return prefix, name
		}
	}
	return "", field
}

func scrubValue(v store.Value, re *regexp.Regexp) (store.Value, bool) {
	text := v.Text()
	switch v.Type() {
	case store.TypeSlice, store.TypeMap:
		return scrubAny(v, re)
	case store.TypeBytes:
		if re.MatchString(text) {
			return store.Bytes(re.ReplaceAllLiteralString(text, Scrubbed)), true
		}
	case store.TypeString:
		if !re.MatchString(text) {
			return v, false
		}
		scrubbed := re.ReplaceAllLiteralString(text, Scrubbed)
		if json.Valid([]byte(text)) && !json.Valid([]byte(scrubbed)) {
			// Whoever reads it expects JSON; null says nothing of what was there.
			scrubbed = "null"
		}
		return store.String(scrubbed), true
	case store.TypeInt, store.TypeDouble:
		if re.MatchString(text) {
			return store.String(re.ReplaceAllLiteralString(text, Scrubbed)), true
		}
	case store.TypeEmpty, store.TypeBool:
	}
	return v, false
}

// scrubAny looks into the texts of a slice or map.
func scrubAny(v store.Value, re *regexp.Regexp) (store.Value, bool) {
	a := pcommon.NewValueEmpty()
	if err := store.DecodeAny(v.Text(), a); err != nil {
		if !re.MatchString(v.Text()) {
			return v, false
		}
		return store.String(Scrubbed), true
	}
	if !scrubPdata(a, re) {
		return v, false
	}
	if v.Type() == store.TypeMap {
		return store.MapJSON(store.EncodeAny(a)), true
	}
	return store.SliceJSON(store.EncodeAny(a)), true
}

func scrubPdata(v pcommon.Value, re *regexp.Regexp) bool {
	changed := false
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if changed = re.MatchString(v.Str()); changed {
			v.SetStr(re.ReplaceAllLiteralString(v.Str(), Scrubbed))
		}
	case pcommon.ValueTypeBytes:
		if raw := v.Bytes().AsRaw(); re.Match(raw) {
			v.Bytes().FromRaw(re.ReplaceAllLiteral(raw, []byte(Scrubbed)))
			changed = true
		}
	case pcommon.ValueTypeSlice:
		for i := range v.Slice().Len() {
			changed = scrubPdata(v.Slice().At(i), re) || changed
		}
	case pcommon.ValueTypeMap:
		names := false
		for name, item := range v.Map().All() {
			changed = scrubPdata(item, re) || changed
			names = names || re.MatchString(name)
		}
		if !names {
			return changed
		}
		changed = true
		clean := pcommon.NewMap()
		for name, item := range v.Map().All() {
			item.CopyTo(clean.PutEmpty(re.ReplaceAllLiteralString(name, Scrubbed)))
		}
		clean.CopyTo(v.Map())
	default:
	}
	return changed
}
