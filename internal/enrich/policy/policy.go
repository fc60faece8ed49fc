// Package policy keeps, drops or holds back content (prompts, answers, arguments and results of tools) by team and agent,
// whatever the sender does. It is a Sink behind enrich/identity, whose team, agent and task it reads.
//
// What is content is a list of keys of all dialects, the bodies of message events, and any long text on an agent's span
// that is no error, query or address. Spans, their tokens, times and errors always stay.
//
// docs/adr/0007-content-by-policy.md says what failed-only means and what it costs.
package policy

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// Policy says what content is kept.
type Policy string

// The policies.
const (
	// All keeps all content.
	All Policy = "all"
	// Metadata keeps none.
	Metadata Policy = "metadata"
	// FailedOnly keeps the content of spans that failed and of tasks that failed.
	FailedOnly Policy = "failed-only"
)

// Config says which policy holds for whom.
type Config struct {
	// Default holds for those without one of their own; "" is All.
	Default Policy
	// Teams is by team; Agents by "team/agent", or "*/agent" for an agent in any team. An agent's goes before its team's.
	Teams, Agents map[string]Policy
	// MaxHeldBytes bounds the content that is held back for tasks without an outcome; 0 is 64 MiB. Beyond it the content of
	// the task that was quiet for longest is dropped.
	MaxHeldBytes int64
	// HoldFor is how long content is held after the last span of its task; 0 is 15 minutes.
	HoldFor time.Duration
	// Clock may be nil for time.Now.
	Clock func() time.Time
}

// Sink applies the policies on the way to the next Sink.
type Sink struct {
	next    signal.Sink
	cfg     Config
	content *content
	held    *holder
	// open: everything is kept, so that there is nothing to do.
	open    bool
	removed atomic.Int64
	forged  atomic.Int64
}

// New returns a Sink in front of next, or an error that names a policy that is not known.
func New(next signal.Sink, cfg Config) (*Sink, error) {
	if cfg.Default == "" {
		cfg.Default = All
	}
	if cfg.MaxHeldBytes == 0 {
		cfg.MaxHeldBytes = 64 << 20
	}
	if cfg.HoldFor == 0 {
		cfg.HoldFor = 15 * time.Minute
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Sink{next: next, cfg: cfg, content: newContent(), open: cfg.Default == All}
	s.held = newHolder(cfg.MaxHeldBytes, cfg.HoldFor, cfg.Clock)
	policies := map[string]Policy{"capture.default": cfg.Default}
	for name, p := range cfg.Teams {
		policies["capture.teams."+name] = p
	}
	for name, p := range cfg.Agents {
		policies["capture.agents."+name] = p
	}
	for key, p := range policies {
		if p != All && p != Metadata && p != FailedOnly {
			return nil, fmt.Errorf("%s: %q is none of all, metadata, failed-only", key, p)
		}
		s.open = s.open && p == All
	}
	return s, nil
}

// Removed returns from how many spans and records content was taken, held content included.
func (s *Sink) Removed() int64 { return s.removed.Load() }

// Stats returns what happened to held content.
func (s *Sink) Stats() Stats { return s.held.stats() }

// of returns the policy for an agent of a team.
func (s *Sink) of(team, agent string) Policy {
	if agent != "" && len(s.cfg.Agents) > 0 {
		if p, ok := s.cfg.Agents[team+"/"+agent]; ok {
			return p
		}
		if p, ok := s.cfg.Agents["*/"+agent]; ok {
			return p
		}
	}
	if p, ok := s.cfg.Teams[team]; ok {
		return p
	}
	return s.cfg.Default
}

// watched tells whether outcomes of a team's tasks matter: some agent's content may be held.
func (s *Sink) watched(team string) bool {
	if s.of(team, "") == FailedOnly {
		return true
	}
	for name, p := range s.cfg.Agents {
		if p == FailedOnly && (strings.HasPrefix(name, team+"/") || strings.HasPrefix(name, "*/")) {
			return true
		}
	}
	return false
}

// Traces takes content off spans as their policy says, and stores what was held back for tasks that turn out to have
// failed.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	if s.open {
		return s.next.Traces(ctx, p, td)
	}
	var failed []taskKey
	for span := range spans(td) {
		w := whoIs(span.Attributes())
		if !s.watched(w.team) {
			continue
		}
		if o := outcomeOf(p, w, span); o.known && s.held.outcome(o) {
			failed = append(failed, o.task)
		}
	}
	for span := range spans(td) {
		s.span(p, span)
	}
	rejected, err := s.next.Traces(ctx, p, td)
	if err != nil {
		return rejected, err
	}
	return rejected, s.release(ctx, p, failed)
}

func spans(td ptrace.Traces) func(yield func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}

// who is what the steps before found out about a span or record.
type who struct{ team, agent, task, operation string }

func whoIs(attrs pcommon.Map) who {
	var w who
	for k, v := range attrs.All() {
		switch k {
		case conv.MindscopeTeam:
			w.team = v.Str()
		case conv.MindscopeAgent:
			w.agent = v.Str()
		case conv.MindscopeTaskID:
			w.task = v.Str()
		case conv.MindscopeOperation:
			w.operation = v.Str()
		}
	}
	return w
}

func (s *Sink) span(p signal.Project, span ptrace.Span) {
	w := whoIs(span.Attributes())
	policy := s.of(w.team, w.agent)
	task := keyOf(p, w, span.TraceID())
	switch {
	case policy == All, policy == FailedOnly && (span.Status().Code() == ptrace.StatusCodeError || s.held.failed(task)):
		return
	case policy == FailedOnly:
		e := entry{trace: span.TraceID(), span: span.SpanID(), start: span.StartTimestamp(), who: w, attrs: pcommon.NewMap()}
		if s.strip(span, w.operation != "", &e) {
			span.Attributes().PutStr(conv.MindscopeCapture, string(policy))
			s.removed.Add(1)
			s.held.add(task, e)
		}
	case s.strip(span, w.operation != "", nil):
		span.Attributes().PutStr(conv.MindscopeCapture, string(policy))
		s.removed.Add(1)
	}
}

// strip takes content off a span, into e when there is one. It tells whether there was any.
func (s *Sink) strip(span ptrace.Span, ofAgents bool, e *entry) bool {
	found := false
	take := func(key string, v pcommon.Value) bool {
		found = true
		if e != nil {
			v.CopyTo(e.attrs.PutEmpty(key))
			e.bytes += len(key) + size(v)
		}
		return true
	}
	span.Attributes().RemoveIf(func(k string, v pcommon.Value) bool {
		return (ofAgents || s.content.keys[k]) && s.content.attribute(k, v) && take(k, v)
	})
	for i, event := range span.Events().All() {
		is := s.content.attribute
		if isMessage(event.Name()) {
			is = s.content.message
		}
		event.Attributes().RemoveIf(func(k string, v pcommon.Value) bool {
			return is(k, v) && take(fmt.Sprintf("event.%d.%s.%s", i, event.Name(), k), v)
		})
	}
	return found
}

// release stores the content that was held back for tasks that failed.
func (s *Sink) release(ctx context.Context, p signal.Project, failed []taskKey) error {
	for _, task := range failed {
		entries := s.held.take(task)
		if len(entries) == 0 {
			continue
		}
		if _, err := s.next.Logs(ctx, p, contentRecords(entries)); err != nil {
			s.held.putBack(task, entries)
			return fmt.Errorf("store content of a failed task: %w", err)
		}
		s.held.released.Add(int64(len(entries)))
	}
	return nil
}

// contentRecords carries content to the store, which files it beside the spans.
func contentRecords(entries map[spanKey]entry) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(len(entries))
	for _, e := range entries {
		rec := records.AppendEmpty()
		rec.SetEventName(conv.EventAITeamSpanContent)
		rec.SetTraceID(e.trace)
		rec.SetSpanID(e.span)
		rec.SetTimestamp(e.start)
		e.attrs.CopyTo(rec.Attributes()) // entries are held once more when the store refuses
		for key, text := range map[string]string{
			conv.MindscopeTeam: e.who.team, conv.MindscopeTaskID: e.who.task, conv.MindscopeAgent: e.who.agent,
		} {
			if text != "" {
				rec.Attributes().PutStr(key, text)
			}
		}
	}
	return ld
}

// Logs takes content off records. Those of an error keep theirs under failed-only; content of other records is not held
// back, since nothing tells which of them a failed task would need.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			sl.LogRecords().RemoveIf(func(rec plog.LogRecord) bool {
				// This name is the server's own: a record of it would be filed as a span's content.
				if rec.EventName() == conv.EventAITeamSpanContent {
					s.forged.Add(1)
					return true
				}
				if !s.open {
					s.record(rec)
				}
				return false
			})
		}
	}
	return s.next.Logs(ctx, p, ld)
}

func (s *Sink) record(rec plog.LogRecord) {
	w := whoIs(rec.Attributes())
	policy := s.of(w.team, w.agent)
	if policy == All || policy == FailedOnly && rec.SeverityNumber() >= plog.SeverityNumberError {
		return
	}
	event := rec.EventName()
	if v, ok := rec.Attributes().Get("event.name"); ok && event == "" {
		event = v.AsString()
	}
	is := func(k string, _ pcommon.Value) bool { return s.content.keys[k] && strings.Contains(k, ".") }
	switch {
	case isMessage(event):
		is = s.content.message
	case ofAgent(event):
		is = s.content.attribute
	}
	found := false
	rec.Attributes().RemoveIf(func(k string, v pcommon.Value) bool {
		hit := is(k, v)
		found = found || hit
		return hit
	})
	if isMessage(event) && rec.Body().Type() != pcommon.ValueTypeEmpty {
		pcommon.NewValueEmpty().CopyTo(rec.Body())
		found = true
	}
	if found {
		rec.Attributes().PutStr(conv.MindscopeCapture, string(policy))
		s.removed.Add(1)
	}
}

// Forged returns how many records were dropped because a sender gave them the server's own name.
func (s *Sink) Forged() int64 { return s.forged.Load() }

// Metrics passes md on: points hold no content.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	return s.next.Metrics(ctx, p, md)
}
