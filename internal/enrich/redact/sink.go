package redact

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
)

// Sink redacts on the way to the next Sink.
type Sink struct {
	next signal.Sink
	r    *Redactor
	from int // see Config.LeaveFrom
}

// New returns a Sink in front of next.
func New(next signal.Sink, cfg Config) (*Sink, error) {
	r, err := NewRedactor(cfg)
	if err != nil {
		return nil, err
	}
	return Around(next, r, cfg.LeaveFrom), nil
}

// Around is New with a Redactor that others use too; leaveFrom is Config's.
func Around(next signal.Sink, r *Redactor, leaveFrom int) *Sink {
	return &Sink{next: next, r: r, from: leaveFrom}
}

// columns is the beginning of the keys of the server's own columns, which the store keeps as they are.
const columns = "mindscope."

// leaves tells whether a value is the store's to redact.
func (s *Sink) leaves(key string, v pcommon.Value) bool {
	return s.from > 0 && v.Type() == pcommon.ValueTypeStr && len(v.Str()) >= s.from && !strings.HasPrefix(key, columns)
}

// attributes redacts the attributes of a span or log record.
func (s *Sink) attributes(attrs pcommon.Map) {
	for k, v := range attrs.All() {
		switch {
		case s.r.attrs[k]:
			s.r.whole(v)
		case !s.leaves(k, v):
			s.r.value(v)
		}
	}
}

// Redactor returns what the Sink redacts with.
func (s *Sink) Redactor() *Redactor { return s.r }

// Traces redacts every string of every span, those excepted that it leaves to the store.
func (s *Sink) Traces(ctx context.Context, p signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	for _, rs := range td.ResourceSpans().All() {
		s.r.attributes(rs.Resource().Attributes())
		change(s.r, rs.SchemaUrl(), rs.SetSchemaUrl)
		for _, ss := range rs.ScopeSpans().All() {
			s.r.scope(ss.Scope())
			change(s.r, ss.SchemaUrl(), ss.SetSchemaUrl)
			for _, span := range ss.Spans().All() {
				s.r.span(span)
				s.attributes(span.Attributes())
			}
		}
	}
	return s.next.Traces(ctx, p, td)
}

func (r *Redactor) scope(s pcommon.InstrumentationScope) {
	change(r, s.Name(), s.SetName)
	change(r, s.Version(), s.SetVersion)
	r.attributes(s.Attributes())
}

func (r *Redactor) span(span ptrace.Span) {
	change(r, span.Name(), span.SetName)
	change(r, span.Status().Message(), span.Status().SetMessage)
	change(r, span.TraceState().AsRaw(), span.TraceState().FromRaw)
	for _, e := range span.Events().All() {
		change(r, e.Name(), e.SetName)
		r.attributes(e.Attributes())
	}
	for _, l := range span.Links().All() {
		r.attributes(l.Attributes())
	}
}

// Logs redacts every string of every record, those excepted that it leaves to the store.
func (s *Sink) Logs(ctx context.Context, p signal.Project, ld plog.Logs) (signal.Rejected, error) {
	for _, rl := range ld.ResourceLogs().All() {
		s.r.attributes(rl.Resource().Attributes())
		change(s.r, rl.SchemaUrl(), rl.SetSchemaUrl)
		for _, sl := range rl.ScopeLogs().All() {
			s.r.scope(sl.Scope())
			change(s.r, sl.SchemaUrl(), sl.SetSchemaUrl)
			for _, rec := range sl.LogRecords().All() {
				if !s.leaves("", rec.Body()) {
					s.r.value(rec.Body())
				}
				s.attributes(rec.Attributes())
				change(s.r, rec.EventName(), rec.SetEventName)
				change(s.r, rec.SeverityText(), rec.SetSeverityText)
			}
		}
	}
	return s.next.Logs(ctx, p, ld)
}

// Metrics redacts the attributes of resources, scopes, points and exemplars.
func (s *Sink) Metrics(ctx context.Context, p signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	for _, rm := range md.ResourceMetrics().All() {
		s.r.attributes(rm.Resource().Attributes())
		change(s.r, rm.SchemaUrl(), rm.SetSchemaUrl)
		for _, sm := range rm.ScopeMetrics().All() {
			s.r.scope(sm.Scope())
			change(s.r, sm.SchemaUrl(), sm.SetSchemaUrl)
			for _, m := range sm.Metrics().All() {
				change(s.r, m.Name(), m.SetName)
				change(s.r, m.Description(), m.SetDescription)
				change(s.r, m.Unit(), m.SetUnit)
				s.r.metric(m)
			}
		}
	}
	return s.next.Metrics(ctx, p, md)
}

func (r *Redactor) metric(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			r.point(p.Attributes(), p.Exemplars())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			r.point(p.Attributes(), p.Exemplars())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			r.point(p.Attributes(), p.Exemplars())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			r.point(p.Attributes(), p.Exemplars())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			r.attributes(p.Attributes())
		}
	}
}

func (r *Redactor) point(attrs pcommon.Map, exemplars pmetric.ExemplarSlice) {
	r.attributes(attrs)
	for _, e := range exemplars.All() {
		r.attributes(e.FilteredAttributes())
	}
}

func change(r *Redactor, s string, set func(string)) {
	if clean, changed := r.Text(s); changed {
		set(clean)
	}
}

func (r *Redactor) attributes(attrs pcommon.Map) {
	for k, v := range attrs.All() {
		if r.attrs[k] {
			r.whole(v)
			continue
		}
		r.value(v)
	}
}

// whole redacts a value that is secret whatever it is.
func (r *Redactor) whole(v pcommon.Value) {
	r.counters[r.attrRule].Add(1)
	v.SetStr(r.mask(r.names[r.attrRule], v.AsString()))
}

// value redacts the strings in v. Bytes are looked at as text.
func (r *Redactor) value(v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if clean, changed := r.Text(v.Str()); changed {
			v.SetStr(clean)
		}
	case pcommon.ValueTypeMap:
		r.attributes(v.Map())
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			r.value(e)
		}
	case pcommon.ValueTypeBytes:
		if clean, changed := r.Text(string(v.Bytes().AsRaw())); changed {
			v.Bytes().FromRaw([]byte(clean))
		}
	case pcommon.ValueTypeInt:
		r.number(v)
	}
}

// number redacts a card's number that came as an integer.
func (r *Redactor) number(v pcommon.Value) {
	if r.digits.card < 0 || v.Int() < 1e12 {
		return
	}
	if clean, changed := r.Text(v.AsString()); changed {
		v.SetStr(clean)
	}
}
