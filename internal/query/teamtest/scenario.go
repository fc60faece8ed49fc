// Package teamtest reads telemetry from short texts, so that a test shows what happened as a person would tell it:
//
//	service newsroom                                   # what follows is of this service
//	resource ai_team.team=press                        # … with these resource attributes
//	scope library 1.2                                  # … and of this instrumentation scope and version
//	trace 1                                            # … in this trace
//	execute_task | 0s 9s | ai_team.task.id=task-456    # a span: name, start and duration, attributes
//	  send cmd.writer | 1s 2ms | kind=producer         # two more spaces: a child
//	    ? invoke_agent writer | 2s | id=7              # a start record; the span of id 7 may come later
//	    ! invoke_agent writer | 12s | id=7             # a heartbeat
//	    "hello" | 3s | severity=ERROR                  # a log record of the span around it
//
// Values are ints, doubles or bools when they look like one, else texts; what is quoted is a text. These keys are no
// attributes but say what a span is: id and parent (hex), kind, status, error (the status error with that message), and
// link (TRACE/SPAN), and event (a name), whose attributes follow as event.NAME; a log record's are severity, event, span
// (hex) and trace=none. Short for attributes are outcome, to, from and wait (of messages). Lines may end with a comment
// behind " # ".
package teamtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
)

// Parse reads a scenario. Times count from the line `at TIME`, else from 2026-03-01T10:00:00Z.
func Parse(text string) (ptrace.Traces, plog.Logs, error) {
	p := &parser{
		traces: ptrace.NewTraces(), logs: plog.NewLogs(), resource: map[string]any{"service.name": "scenario"},
		at: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), trace: traceID(1), fresh: true,
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), " # ")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := p.line(strings.TrimRight(line, " ")); err != nil {
			return p.traces, p.logs, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return p.traces, p.logs, lines.Err()
}

type parser struct {
	traces   ptrace.Traces
	logs     plog.Logs
	spans    ptrace.SpanSlice
	records  plog.LogRecordSlice
	resource map[string]any
	scope    string
	fresh    bool // the resource changed since it was written
	at       time.Time
	trace    pcommon.TraceID
	around   []pcommon.SpanID // by indentation, of the lines above
	ids      int
}

func (p *parser) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "at":
		t, err := time.Parse(time.RFC3339Nano, rest)
		p.at = t
		return err
	case "trace":
		n, err := strconv.ParseUint(rest, 16, 64)
		p.trace, p.around = traceID(n), nil
		return err
	case "service":
		p.resource, p.scope, p.fresh = map[string]any{"service.name": rest}, "", true
		return nil
	case "scope":
		p.scope, p.fresh = rest, true
		return nil
	case "resource":
		attrs, err := pairs(rest)
		for _, a := range attrs {
			p.resource[a.key] = a.value
		}
		p.fresh = true
		return err
	}
	return p.item(line)
}

// item reads a span, a start record, a heartbeat or a log record.
func (p *parser) item(line string) error {
	text := strings.TrimLeft(line, " ")
	depth := (len(line) - len(text)) / 2
	parts := strings.SplitN(text, "|", 3)
	if len(parts) < 2 || depth > len(p.around) {
		return fmt.Errorf("%q: want NAME | START DURATION | key=value …, at most one level deeper", line)
	}
	it := item{name: strings.TrimSpace(parts[0])}
	if depth > 0 {
		it.parent = p.around[depth-1]
	}
	var err error
	if len(parts) == 3 {
		if it.attrs, err = pairs(parts[2]); err != nil {
			return err
		}
	}
	if err := it.times(p.at, parts[1]); err != nil {
		return err
	}
	if p.fresh {
		p.begin()
	}
	if strings.HasPrefix(it.name, `"`) {
		return p.log(it)
	}
	p.ids++
	it.id = spanID(0xe000_0000 + uint64(p.ids))
	if err := it.say(); err != nil {
		return err
	}
	p.around = append(p.around[:depth], it.id)
	for mark, event := range map[string]string{"? ": conv.EventAITeamSpanStarted, "! ": conv.EventAITeamSpanHeartbeat} {
		if name, ok := strings.CutPrefix(it.name, mark); ok {
			p.record(it, name, event)
			return nil
		}
	}
	return p.span(it)
}

// begin opens groups of spans and records of the present resource.
func (p *parser) begin() {
	rs, rl := p.traces.ResourceSpans().AppendEmpty(), p.logs.ResourceLogs().AppendEmpty()
	for _, k := range slices.Sorted(maps.Keys(p.resource)) {
		v := p.resource[k]
		put(rs.Resource().Attributes(), k, v)
		put(rl.Resource().Attributes(), k, v)
	}
	ss := rs.ScopeSpans().AppendEmpty()
	if words := strings.Fields(p.scope); len(words) > 0 {
		ss.Scope().SetName(words[0])
		ss.Scope().SetVersion(strings.Join(words[1:], " "))
	}
	p.spans, p.records = ss.Spans(), rl.ScopeLogs().AppendEmpty().LogRecords()
	p.fresh = false
}

func (p *parser) span(it item) error {
	s := p.spans.AppendEmpty()
	s.SetTraceID(p.trace)
	s.SetSpanID(it.id)
	s.SetParentSpanID(it.parent)
	s.SetName(it.name)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(it.start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(it.start.Add(it.took)))
	s.SetKind(ptrace.SpanKindInternal)
	if it.failed {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	for _, a := range it.attrs {
		text, _ := a.value.(string)
		switch a.key {
		case "kind":
			kind, ok := map[string]ptrace.SpanKind{
				"server": ptrace.SpanKindServer, "client": ptrace.SpanKindClient,
				"producer": ptrace.SpanKindProducer, "consumer": ptrace.SpanKindConsumer, "internal": ptrace.SpanKindInternal,
			}[text]
			if !ok {
				return fmt.Errorf("kind %v", a.value)
			}
			s.SetKind(kind)
		case "status":
			s.Status().SetCode(map[string]ptrace.StatusCode{"ok": ptrace.StatusCodeOk, "error": ptrace.StatusCodeError}[text])
		case "error":
			s.Status().SetMessage(fmt.Sprint(a.value))
		case "event":
			e := s.Events().AppendEmpty()
			e.SetName(text)
			e.SetTimestamp(pcommon.NewTimestampFromTime(it.start.Add(it.took / 2)))
		case "link":
			if err := link(s.Links().AppendEmpty(), text); err != nil {
				return err
			}
		default:
			if name, ok := strings.CutPrefix(a.key, "event."); ok && s.Events().Len() > 0 {
				put(s.Events().At(s.Events().Len()-1).Attributes(), name, a.value)
				continue
			}
			put(s.Attributes(), a.key, a.value)
		}
	}
	return nil
}

func link(l ptrace.SpanLink, text string) error {
	trace, span, _ := strings.Cut(text, "/")
	t, err := strconv.ParseUint(trace, 16, 64)
	if err != nil {
		return fmt.Errorf("link %q: %w", text, err)
	}
	s, err := strconv.ParseUint(span, 16, 64)
	if err != nil {
		return fmt.Errorf("link %q: %w", text, err)
	}
	l.SetTraceID(traceID(t))
	l.SetSpanID(spanID(s))
	return nil
}

// record writes a start record or a heartbeat as the SDK does.
func (p *parser) record(it item, name, event string) {
	r := p.records.AppendEmpty()
	r.SetEventName(event)
	r.SetTraceID(p.trace)
	r.SetSpanID(it.id)
	r.SetTimestamp(pcommon.NewTimestampFromTime(it.start))
	r.Attributes().PutStr(conv.AITeamSpanName, name)
	r.Attributes().PutStr(conv.AITeamSpanKind, "internal")
	r.Attributes().PutInt(conv.AITeamSpanStartTimeUnixNano, it.start.UnixNano())
	if !it.parent.IsEmpty() {
		r.Attributes().PutStr(conv.AITeamSpanParentID, hex.EncodeToString(it.parent[:]))
	}
	for _, a := range it.attrs {
		put(r.Attributes(), a.key, a.value)
	}
}

func (p *parser) log(it item) error {
	body, err := strconv.Unquote(it.name)
	if err != nil {
		return fmt.Errorf("log record %s: %w", it.name, err)
	}
	r := p.records.AppendEmpty()
	r.SetTraceID(p.trace)
	r.SetSpanID(it.parent)
	r.SetTimestamp(pcommon.NewTimestampFromTime(it.start))
	r.Body().SetStr(body)
	for _, a := range it.attrs {
		text, _ := a.value.(string)
		switch a.key {
		case "severity":
			r.SetSeverityText(text)
		case "event":
			r.SetEventName(text)
		case "span": // of another span than the one around
			n, err := strconv.ParseUint(fmt.Sprint(a.value), 16, 64)
			if err != nil {
				return fmt.Errorf("span: %w", err)
			}
			r.SetSpanID(spanID(n))
		case "trace": // "none": written outside of any trace
			r.SetTraceID(pcommon.TraceID{})
			r.SetSpanID(pcommon.SpanID{})
		default:
			put(r.Attributes(), a.key, a.value)
		}
	}
	return nil
}
