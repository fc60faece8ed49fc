package spanmetrics

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"pgregory.net/rapid"

	"github.com/mindscope/mindscope/internal/store"
)

var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// row returns a span row of ten seconds in the task of trace t1; fields replace what it has.
func row(id, parent string, fields ...store.Field) store.Row {
	r := store.Row{Kind: store.KindSpan, ID: "t1" + id, Time: start.UnixNano()}
	base := []store.Field{
		{Name: store.FieldTraceID, Value: store.String("t1")},
		{Name: store.FieldSpanID, Value: store.String(id)},
		{Name: store.FieldName, Value: store.String("span " + id)},
		{Name: store.FieldSpanKind, Value: store.String("internal")},
		{Name: store.FieldStatus, Value: store.String("unset")},
		{Name: store.FieldService, Value: store.String("newsroom")},
		{Name: store.FieldTeam, Value: store.String("press")},
		{Name: store.FieldTaskID, Value: store.String("task-1")},
		{Name: store.FieldDuration, Value: store.Int(10e9)},
		{Name: store.FieldEnd, Value: store.Int(start.Add(10 * time.Second).UnixNano())},
	}
	if parent != "" {
		base = append(base, store.Field{Name: store.FieldParentSpanID, Value: store.String(parent)})
	}
	for _, f := range fields {
		base = slices.DeleteFunc(base, func(b store.Field) bool { return b.Name == f.Name })
		base = append(base, f)
	}
	r.Fields = base
	return r
}

func text(name, value string) store.Field {
	return store.Field{Name: name, Value: store.String(value)}
}

func integer(name string, n int64) store.Field { return store.Field{Name: name, Value: store.Int(n)} }

func started(id string) store.Row {
	r := row(id, "", text(store.PrefixAttr+"ai_team.span.name", "execute_task"))
	r.Kind = store.KindStart
	r.Fields = slices.DeleteFunc(r.Fields, func(f store.Field) bool { return f.Name == store.FieldEnd || f.Name == store.FieldDuration })
	return r
}

func heartbeat(id string) store.Row {
	r := started(id)
	r.Kind = store.KindHeartbeat
	return r
}

func task(id string, fields ...store.Field) store.Row {
	return row(id, "", append([]store.Field{text(store.FieldOperation, "invoke_workflow"), text(store.FieldName, "execute_task"), text(store.FieldTaskType, "article")}, fields...)...)
}

func chat(id, parent string, fields ...store.Field) store.Row {
	return row(id, parent, append([]store.Field{
		text(store.FieldOperation, "chat"), text(store.FieldModel, "gpt-4o"), text(store.FieldAgent, "writer"), text(store.FieldProvider, "openai"),
		text(store.FieldSpanKind, "client"), integer(store.FieldTokensInput, 100), integer(store.FieldTokensOutput, 20),
		integer(store.FieldCostMicro, 450), integer(store.FieldCostRest, 7),
	}, fields...)...)
}

// counted returns the counters, the counts of histograms and the gauges, without the spans and edges when brief is set.
func counted(t testing.TB, m *Metrics, brief bool) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(m)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if brief && (strings.HasPrefix(f.GetName(), "traces_") || strings.HasPrefix(f.GetName(), "mindscope_")) {
			continue
		}
		for _, one := range f.GetMetric() {
			got[f.GetName()+labelsOf(one)] = valueOf(one)
		}
	}
	return got
}

func labelsOf(m *dto.Metric) string {
	var all []string
	for _, l := range m.GetLabel() {
		if l.GetName() != "project" && l.GetName() != "team" {
			all = append(all, l.GetValue())
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	}
	return float64(m.GetHistogram().GetSampleCount())
}

func TestOneTask(t *testing.T) {
	c := &clock{start}
	m := New(Config{Clock: c.time})
	m.Committed("default", []store.Row{started("a")})
	c.now = start.Add(4 * time.Second)
	want := map[string]float64{"ai_team_tasks_total{pending}": 1, "ai_team_tasks_in_progress{}": 1, "ai_team_oldest_task_seconds{}": 4, "ai_team_tasks_stuck{}": 0}
	if d := cmp.Diff(want, counted(t, m, true)); d != "" {
		t.Errorf("while it runs: %s", d)
	}
	m.Committed("default", []store.Row{
		chat("c", "b"),
		row("b", "a", text(store.FieldOperation, "invoke_agent"), text(store.FieldAgent, "writer"), store.Field{Name: store.FieldQuality, Value: store.Double(8.4)}),
		row("s", "a", text(store.FieldSpanKind, "producer"), text(fieldFrom, "orchestrator"), text(fieldTo, "writer"), text(fieldMessageType, "COMMAND")),
		row("p", "s", text(store.FieldSpanKind, "consumer"), text(fieldFrom, "orchestrator"), text(fieldTo, "writer"), store.Field{Name: fieldWait, Value: store.Double(40)}),
		row("i", "b", text(fieldTable, "task_steps"), text(store.FieldAgent, "writer")),
		row("o", "b", text(fieldArtifact, "draft.md"), text(store.FieldName, "save_artifact"), text(store.FieldAgent, "writer")),
		task("a", store.Field{Name: store.FieldQuality, Value: store.Double(8.4)}),
	})
	want = map[string]float64{
		"gen_ai_client_operation_duration_seconds{,chat,openai,gpt-4o,gpt-4o}": 1,
		"gen_ai_client_token_usage{chat,openai,gpt-4o,gpt-4o,input}":           1,
		"gen_ai_client_token_usage{chat,openai,gpt-4o,gpt-4o,output}":          1,

		"ai_team_tasks_total{pending}": 1, "ai_team_tasks_total{completed}": 1, "ai_team_tasks_in_progress{}": 0, "ai_team_tasks_stuck{}": 0, "ai_team_oldest_task_seconds{}": 0,
		"ai_team_task_duration_seconds{article}": 1, "ai_team_quality_score{}": 1,
		"ai_team_llm_calls_total{writer,gpt-4o}": 1, "ai_team_llm_latency_seconds{gpt-4o}": 1,
		"ai_team_llm_tokens_total{writer,gpt-4o,input}": 100, "ai_team_llm_tokens_total{writer,gpt-4o,output}": 20,
		"ai_team_llm_cost_dollars_total{gpt-4o}": 0.000450000007, "ai_team_agent_cost_dollars_total{writer}": 0.000450000007,
		"ai_team_agent_calls_total{writer,completed}": 1, "ai_team_agent_duration_seconds{writer}": 1, "ai_team_agent_quality_score{writer}": 1,
		"ai_team_messages_total{orchestrator,writer,COMMAND}": 1, "ai_team_message_wait_seconds{writer}": 1,
		"ai_team_records_total{writer}": 1, "ai_team_artifacts_total{writer}": 1,
	}
	if d := cmp.Diff(want, counted(t, m, true)); d != "" {
		t.Error(d)
	}
}

func TestOutcomes(t *testing.T) {
	f := func(want string, rows ...store.Row) {
		t.Helper()
		m := New(Config{})
		m.Committed("default", rows)
		got := counted(t, m, true)
		if got["ai_team_tasks_total{pending}"] != 1 || got["ai_team_tasks_total{"+want+"}"] != 1 || got["ai_team_tasks_in_progress{}"] != 0 {
			t.Errorf("want %s once, got %v", want, got)
		}
	}
	f("completed", task("a"))
	f("completed", task("a"), started("a")) // the start record came late
	f("completed", started("a"), task("a"))
	f("failed", task("a", text(store.FieldStatus, "error")))
	f("cancelled", task("a", text(store.FieldStatus, "error"), text(fieldErrorType, "cancelled")))
	f("failed", task("a", text(fieldOutcome, "failed")))
	// A sender that knows nothing of tasks: its root is one.
	provisional := store.Field{Name: store.FieldTaskProvisional, Value: store.Bool(true)}
	f("completed", row("x", "r", provisional, text(store.FieldOperation, "invoke_workflow")), row("r", "", provisional))
}

func TestLostCountsOnce(t *testing.T) {
	c := &clock{start}
	m := New(Config{Clock: c.time})
	m.Committed("default", []store.Row{started("a")})
	for range 3 {
		c.now = c.now.Add(9 * time.Minute)
		m.Committed("default", []store.Row{heartbeat("a")})
		m.Tick()
	}
	if got := counted(t, m, true); got["ai_team_tasks_in_progress{}"] != 1 {
		t.Errorf("it beats, and yet: %v", got)
	}
	c.now = c.now.Add(11 * time.Minute)
	m.Tick()
	m.Tick()
	m.Committed("default", []store.Row{task("a")}) // it was not lost after all
	want := map[string]float64{"ai_team_tasks_total{pending}": 1, "ai_team_tasks_total{failed}": 1, "ai_team_tasks_in_progress{}": 0, "ai_team_tasks_stuck{}": 0, "ai_team_oldest_task_seconds{}": 0}
	if d := cmp.Diff(want, counted(t, m, true)); d != "" {
		t.Error(d)
	}
}

func TestUsualAndStuck(t *testing.T) {
	c := &clock{start}
	stuck := map[Owner]int{}
	m := New(Config{Clock: c.time, Stuck: func() map[Owner]int { return stuck }})
	for i := range 4 { // each takes ten seconds
		m.Committed("default", []store.Row{task(fmt.Sprint("done", i))})
	}
	if d, ok := m.Usual().Task("default", "press", "article"); ok {
		t.Errorf("four tasks usually take %s", d)
	}
	m.Committed("default", []store.Row{task("done4")})
	if d, ok := m.Usual().Task("default", "press", "article"); !ok || d < 10*time.Second || d > 11*time.Second {
		t.Errorf("tasks of ten seconds usually take %s, %v", d, ok)
	}
	for _, of := range [][2]string{{"radio", "article"}, {"press", "song"}} {
		if d, ok := m.Usual().Task("default", of[0], of[1]); ok {
			t.Errorf("%v usually take %s", of, d)
		}
	}
	stuck[Owner{"default", "press"}] = 2
	if got := counted(t, m, true)["ai_team_tasks_stuck{}"]; got != 2 {
		t.Errorf("%v are stuck, want 2", got)
	}
}

func TestWrappersAreNotCalls(t *testing.T) {
	f := func(rows ...store.Row) {
		t.Helper()
		m := New(Config{})
		m.Committed("default", rows)
		got := counted(t, m, true)
		if got["ai_team_llm_calls_total{writer,gpt-4o}"] != 1 || got["ai_team_llm_tokens_total{writer,gpt-4o,input}"] != 100 {
			t.Errorf("got %v", got)
		}
	}
	agent := row("a", "", text(store.FieldOperation, "invoke_agent"), integer(store.FieldTokensInput, 100))
	middle := row("m", "a")
	f(chat("c", "a"), agent)
	f(agent, chat("c", "a", integer(store.FieldEnd, start.Add(5*time.Second).UnixNano()))) // ended before its wrapper
	f(chat("c", "w", integer(store.FieldEnd, start.Add(4*time.Second).UnixNano())), chat("w", "m", integer(store.FieldEnd, start.Add(5*time.Second).UnixNano())), middle, agent)
}

func TestTheSDKCountsItself(t *testing.T) {
	m := New(Config{})
	sdk := text(fieldMetrics, "sdk")
	begin := started("a")
	begin.Fields = append(begin.Fields, sdk)
	m.Committed("default", []store.Row{begin})
	want := map[string]float64{}
	for name, n := range counted(t, m, true) {
		if !strings.Contains(name, "{}") { // the gauges are the server's to tell
			want[name] = n
		}
	}
	if len(want) > 0 {
		t.Errorf("counted %v", want)
	}
	m.Committed("default", []store.Row{chat("c", "a", sdk), task("a", sdk)})
	want = map[string]float64{"ai_team_llm_cost_dollars_total{gpt-4o}": 0.000450000007, "ai_team_agent_cost_dollars_total{writer}": 0.000450000007}
	if d := cmp.Diff(want, counted(t, m, true)); d != "" {
		t.Error(d)
	}
}

func TestNoPriceIsAMiss(t *testing.T) {
	m := New(Config{})
	c := chat("c", "")
	c.Fields = slices.DeleteFunc(c.Fields, func(f store.Field) bool { return strings.HasPrefix(f.Name, "cost_") })
	m.Committed("default", []store.Row{c})
	if got := counted(t, m, true); got["ai_team_price_misses_total{gpt-4o}"] != 1 || got["ai_team_llm_cost_dollars_total{gpt-4o}"] != 0 {
		t.Errorf("got %v", got)
	}
}

func TestServiceGraph(t *testing.T) {
	m := New(Config{})
	m.Committed("default", []store.Row{
		chat("c", "b", text(store.FieldStatus, "error")),
		row("p", "s", text(store.FieldSpanKind, "consumer"), text(fieldFrom, "orchestrator"), text(fieldTo, "writer")),
		row("x", "b", text(store.FieldOperation, "execute_tool"), text(store.FieldTool, "search"), text(store.FieldAgent, "writer")),
	})
	got := counted(t, m, false)
	want := map[string]float64{
		graphTotal + "{writer,virtual_node,openai}":                              1,
		graphFailed + "{writer,virtual_node,openai}":                             1,
		graphTotal + "{orchestrator,messaging_system,writer}":                    1,
		graphTotal + "{writer,virtual_node,search}":                              1,
		graphSeconds + "{writer,virtual_node,search}":                            1,
		graphSeconds + "{writer,virtual_node,openai}":                            1,
		graphSeconds + "{orchestrator,messaging_system,writer}":                  1,
		spansCalls + "{newsroom,SPAN_KIND_CLIENT,chat gpt-4o,STATUS_CODE_ERROR}": 1,
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
}

// TestNestedAgents: agents of one process call each other without messages: the span above says who called, through tools
// and whatever else is between, also when the server was restarted meanwhile. A message has its edge already.
func TestNestedAgents(t *testing.T) {
	m := New(Config{})
	agent := func(id, parent, name string, fields ...store.Field) store.Row {
		return row(id, parent, append([]store.Field{text(store.FieldOperation, "invoke_agent"), text(store.FieldAgent, name)}, fields...)...)
	}
	m.Committed("default", []store.Row{agent("w", "x", "writer", text(store.FieldStatus, "error")), agent("c", "p", "critic")})
	m.Committed("default", []store.Row{row("x", "o", text(store.FieldOperation, "execute_tool"), text(store.FieldTool, "transfer"), text(store.FieldAgent, "orchestrator"))})
	var raw bytes.Buffer
	if err := m.Save(&raw); err != nil {
		t.Fatal(err)
	}
	m = New(Config{})
	if err := m.Load(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	m.Committed("default", []store.Row{row("p", "o", text(store.FieldSpanKind, "consumer"), text(fieldFrom, "orchestrator"), text(fieldTo, "critic"))})
	m.Committed("default", []store.Row{agent("o", "t", "orchestrator"), task("t")})
	got := map[string]float64{}
	for name, n := range counted(t, m, false) {
		if strings.HasPrefix(name, graphTotal) || strings.HasPrefix(name, graphFailed) {
			got[name] = n
		}
	}
	want := map[string]float64{
		graphTotal + "{orchestrator,,writer}":                 1,
		graphFailed + "{orchestrator,,writer}":                1,
		graphTotal + "{orchestrator,messaging_system,critic}": 1,
		graphTotal + "{orchestrator,virtual_node,transfer}":   1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if m.nested.n != 0 {
		t.Errorf("%d calls still wait", m.nested.n)
	}
}

func TestLabelValuesAreCapped(t *testing.T) {
	m := New(Config{LabelValues: 10})
	for i := range 100_000 {
		m.Committed("default", []store.Row{task(fmt.Sprint("a", i), text(store.FieldTaskType, fmt.Sprint("type-", i)))})
	}
	got := counted(t, m, true)
	if got["ai_team_task_duration_seconds{other}"] != 99_990 || got["ai_team_tasks_total{completed}"] != 100_000 {
		t.Errorf("other: %v, completed: %v", got["ai_team_task_duration_seconds{other}"], got["ai_team_tasks_total{completed}"])
	}
	if n := len(counted(t, m, false)); n > 60 {
		t.Errorf("100 000 tasks made %d series", n)
	}
}

// TestInvalidTextIsShownRepaired: one sender's broken names must not take the metrics of all away.
func TestInvalidTextIsShownRepaired(t *testing.T) {
	m := New(Config{LabelValues: 3, Stuck: func() map[Owner]int { return map[Owner]int{{"default", "\uFFFD"}: 2} }})
	for _, bad := range []string{"\xff", "\xfe", "\uFFFD", "\xff"} {
		team := text(store.FieldTeam, bad)
		begun := started("b" + bad)
		begun.Fields = append(begun.Fields, team)
		m.Committed("default", []store.Row{begun, chat("c", "", team, text(store.FieldAgent, bad), text(store.FieldModel, "m"+bad), text(store.FieldName, bad))})
	}
	got := counted(t, m, true)
	for series, want := range map[string]float64{
		"ai_team_llm_calls_total{\uFFFD,m\uFFFD}":  4,
		"ai_team_agent_cost_dollars_total{\uFFFD}": 4 * 0.000450000007,
		"ai_team_tasks_in_progress{}":              3,
		"ai_team_tasks_stuck{}":                    2,
	} {
		if math.Abs(got[series]-want) > 1e-12 {
			t.Errorf("%s: %v, want %v", series, got[series], want)
		}
	}
}

func TestExemplarsAndNativeBuckets(t *testing.T) {
	m := New(Config{})
	m.Committed("default", []store.Row{chat("c", ""), chat("d", "", integer(store.FieldDuration, 20e9)), chat("e", "", integer(store.FieldDuration, 0))})
	v := m.vectors["ai_team_llm_latency_seconds"]
	for _, s := range v.series {
		var out dto.Metric
		if err := v.expose(s).Write(&out); err != nil {
			t.Fatal(err)
		}
		h := out.GetHistogram()
		if h.GetSampleCount() != 3 || h.GetZeroCount() != 1 || len(h.GetPositiveDelta()) != 2 {
			t.Errorf("got %v", h)
		}
		// 10 s lies in (2^(26/8), 2^(27/8)], and 20 s eight buckets further.
		if got := []int32{h.PositiveSpan[0].GetOffset(), h.PositiveSpan[1].GetOffset()}; !slices.Equal(got, []int32{27, 7}) {
			t.Errorf("spans at %v", got)
		}
		var traces []string
		for _, b := range h.GetBucket() {
			if e := b.GetExemplar(); e != nil {
				traces = append(traces, fmt.Sprint(b.GetUpperBound(), " ", e.GetLabel()[0].GetValue(), "/", e.GetLabel()[1].GetValue()))
			}
		}
		if d := cmp.Diff([]string{"0.1 t1/e", "10 t1/c", "30 t1/d"}, traces); d != "" {
			t.Error(d)
		}
	}
}

// TestAcceptedIsFinishedAndInProgress: whatever comes in which order, whenever it restarts.
func TestAcceptedIsFinishedAndInProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{start}
		m := New(Config{Clock: c.time, Running: 5})
		ended := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := rapid.StringMatching(`[a-h]`).Draw(t, "attempt")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				m.Committed("default", []store.Row{started(id)})
			case 1:
				m.Committed("default", []store.Row{heartbeat(id)})
			case 2:
				if !ended[id] { // the store hands each span on once
					m.Committed("default", []store.Row{task(id)})
					ended[id] = true
				}
			case 3:
				c.now = c.now.Add(time.Duration(rapid.IntRange(0, 11).Draw(t, "minutes")) * time.Minute)
				m.Tick()
			case 4:
				var raw bytes.Buffer
				if err := m.Save(&raw); err != nil {
					t.Fatal(err)
				}
				before := m.totals()
				m = New(Config{Clock: c.time, Running: 5})
				if err := m.Load(raw.Bytes()); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(before, m.totals()); d != "" {
					t.Fatalf("after a restart: %s", d)
				}
			}
			n := m.totals()
			if n["pending"] != n["completed"]+n["failed"]+n["cancelled"]+float64(len(m.flight.running)) {
				t.Fatalf("%v, and %d run", n, len(m.flight.running))
			}
		}
	})
}

func (m *Metrics) totals() map[string]float64 {
	n := map[string]float64{}
	for s := range maps.Values(m.vectors["ai_team_tasks_total"].series) {
		n[s.Values[2]] += s.Sum
	}
	return n
}

func TestStateOfAnotherVersionIsRefused(t *testing.T) {
	for _, raw := range []string{"", "{", `{"version":2}`} {
		if err := New(Config{}).Load([]byte(raw)); err == nil {
			t.Errorf("%q was loaded", raw)
		}
	}
}

func BenchmarkCommitted(b *testing.B) {
	m := New(Config{})
	rows := make([]store.Row, 0, 1000)
	for i := range 1000 {
		id := fmt.Sprint(i)
		switch i % 10 {
		case 0:
			rows = append(rows, task(id))
		case 1, 2, 3:
			rows = append(rows, chat(id, "0"))
		default:
			rows = append(rows, row(id, "0", text(store.FieldOperation, "invoke_agent"), text(store.FieldAgent, "writer")))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		m.Committed("default", rows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}
