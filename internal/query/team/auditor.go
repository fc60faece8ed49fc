package team

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// Auditor writes down what the ledger finds in tasks that came to rest: each finding once, and which traces belong to
// which task. What is written is committed like any row, so that whoever counts findings counts each once, whatever
// the server dies of.
type Auditor struct {
	questions *Questions
	to        store.Writer
}

// NewAuditor returns an Auditor that writes to the store that the questions are put to.
func NewAuditor(q *Questions, to store.Writer) *Auditor { return &Auditor{q, to} }

// Audit accounts for tasks of one team and writes down what was not known. It returns how many findings and joins that
// were. Running it again is right, after an error as well. Where a part of the store did not answer nothing is written, and
// the error is store.ErrPartial.
func (a *Auditor) Audit(ctx context.Context, p signal.Project, team string, ids []string) (findings, joins int, err error) {
	ledgers, err := a.questions.AuditAll(ctx, p, team, ids)
	if err != nil {
		return 0, 0, err
	}
	known, err := a.known(ctx, p, team, ids)
	if err != nil {
		return 0, 0, err
	}
	now := a.questions.clock().UnixNano()
	var rows []store.Row
	for id, l := range ledgers {
		for i := range l.Findings {
			if r := l.Findings[i].row(team, id, now); !known[r.ID] {
				rows = append(rows, r)
				findings++
			}
		}
		for _, j := range l.Joined {
			if r := j.row(team, id, now); !known[r.ID] {
				rows = append(rows, r)
				joins++
			}
		}
	}
	if len(rows) == 0 {
		return 0, 0, nil
	}
	rejected, err := a.to.Write(ctx, p, rows)
	if err != nil {
		return 0, 0, fmt.Errorf("write findings: %w", err)
	}
	if rejected.Items > 0 {
		return 0, 0, fmt.Errorf("write findings: %d were refused: %s", rejected.Items, strings.Join(rejected.Reasons, ", "))
	}
	return findings, joins, nil
}

// known returns the ids of the rows about these tasks that were written before. The store knows a repeat as well, but
// only for as long as it remembers.
func (a *Auditor) known(ctx context.Context, p signal.Project, team string, ids []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, kind := range []store.Kind{store.KindFinding, store.KindJoin} {
		rows := a.questions.events.Select(ctx, p, store.Select{
			Scope: store.Scope{Kind: kind, Time: signal.AllTime(), Filter: store.And{
				store.In{Field: store.FieldTaskID, Values: ids}, store.Eq(store.FieldTeam, team),
			}},
			Fields: []string{store.FieldTaskID},
		})
		for r, err := range rows {
			if err != nil {
				return nil, fmt.Errorf("read findings: %w", err)
			}
			out[strings.Clone(r.ID)] = true
		}
	}
	return out, nil
}

// row writes a finding down. Its id is the task's and the finding's, whatever is counted to it.
func (f *Finding) row(team, task string, now int64) store.Row {
	sum := sha256.Sum256([]byte(strings.Join([]string{team, task, f.Kind, string(f.Hop), f.Agent, f.Peer}, "\x00")))
	r := store.Row{Kind: store.KindFinding, ID: hex.EncodeToString(sum[:16]), Time: now, Fields: []store.Field{
		{Name: store.FieldTeam, Value: store.String(team)},
		{Name: store.FieldTaskID, Value: store.String(task)},
		{Name: store.FieldHop, Value: store.String(string(f.Hop))},
		{Name: store.FieldFinding, Value: store.String(f.Kind)},
		{Name: store.FieldBody, Value: store.String(f.Text)},
	}}
	for _, x := range []struct{ name, text string }{
		{store.FieldAgent, f.Agent}, {store.FieldTraceID, f.TraceID}, {store.FieldSpanID, f.SpanID},
	} {
		if x.text != "" {
			r.Fields = append(r.Fields, store.Field{Name: x.name, Value: store.String(x.text)})
		}
	}
	return r
}
