package live

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

const p = signal.DefaultProject

// world is a store with a View of it and a clock that the test sets.
type world struct {
	now  time.Time
	view *View
	sink signal.Sink
	db   *memdb.DB
}

var began = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func newWorld(spans int) *world {
	w := &world{now: began}
	clock := func() time.Time { return w.now }
	w.view = New(Config{Spans: spans, Clock: clock})
	w.db = memdb.New(memdb.Config{Clock: clock, Observer: w.view})
	w.sink = identity.New(store.NewSink(w.db, nil))
	return w
}

// tell sends a scenario when it is so long after the beginning.
func (w *world) tell(t *testing.T, after time.Duration, text string) {
	t.Helper()
	w.now = began.Add(after)
	traces, logs, err := teamtest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.sink.Traces(t.Context(), p, traces); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sink.Logs(t.Context(), p, logs); err != nil {
		t.Fatal(err)
	}
}

// seen draws what runs.
func (w *world) seen() string {
	tasks, total := w.view.Tasks(p, 100)
	var b strings.Builder
	for _, task := range tasks {
		fmt.Fprintf(&b, "%s at %s since %v", task.ID, task.Holder.Agent, w.now.Sub(task.Since))
		if task.Lost {
			b.WriteString(" lost")
		}
		fmt.Fprintf(&b, ", %d spans\n", task.Spans)
	}
	if total != len(tasks) {
		fmt.Fprintf(&b, "%d of %d\n", len(tasks), total)
	}
	return b.String()
}

func (w *world) expect(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, w.seen()); diff != "" {
		t.Errorf("after %v (-want +got)\n%s", w.now.Sub(began), diff)
	}
}

const (
	task   = `? execute_task | 0s | id=1 ai_team.task.id=t mindscope.agent=orchestrator`
	writer = `? invoke_agent writer | 2s | id=2 parent=1 ai_team.task.id=t mindscope.agent=writer`
	critic = `? invoke_agent critic | 3s | id=3 parent=1 ai_team.task.id=t mindscope.agent=critic`
)

func beats(ids ...int) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "! beat | 0s | id=%d ai_team.task.id=t\n", id)
	}
	return b.String()
}

func TestLifeOfATask(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task)
	w.expect(t, "t at orchestrator since 0s, 1 spans\n")
	w.tell(t, 2*time.Second, writer)
	w.expect(t, "t at writer since 2s, 2 spans\n")
	w.tell(t, 3*time.Second, critic)
	w.expect(t, "t at critic since 3s, 3 spans\n")
	// The writer goes silent, and is lost after three missed beats.
	w.tell(t, 30*time.Second, beats(1, 3))
	w.expect(t, "t at critic since 30s, 3 spans\n")
	w.tell(t, 38*time.Second, beats(1, 3))
	w.expect(t, "t at writer since 38s lost, 3 spans\n")
	// It was only slow.
	w.tell(t, 40*time.Second, beats(2))
	w.expect(t, "t at critic since 40s, 3 spans\n")
	w.tell(t, 41*time.Second, "invoke_agent writer | 2s 39s | id=2 parent=1 ai_team.task.id=t")
	w.tell(t, 41*time.Second, "invoke_agent critic | 3s 38s | id=3 parent=1 ai_team.task.id=t")
	w.expect(t, "t at orchestrator since 41s, 1 spans\n")
	w.tell(t, 42*time.Second, "execute_task | 0s 42s | id=1 ai_team.task.id=t")
	w.expect(t, "")
	// What comes late of what has ended opens nothing.
	w.tell(t, 43*time.Second, beats(1, 2, 3))
	w.expect(t, "")
}

func TestSpanBeforeItsStart(t *testing.T) {
	w := newWorld(0)
	w.tell(t, time.Second, "execute_task | 0s 1s | id=1 ai_team.task.id=t")
	w.tell(t, time.Second, task)
	w.expect(t, "")
}

// TestBeatAlone: after a restart without state a heartbeat tells all that is needed.
func TestBeatAlone(t *testing.T) {
	w := newWorld(0)
	w.tell(t, time.Minute, "! execute_task | 0s | id=1 ai_team.task.id=t mindscope.agent=orchestrator")
	w.expect(t, "t at orchestrator since 1m0s, 1 spans\n")
}

func TestForgotten(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task)
	w.now = began.Add(ForgetAfter)
	w.view.Tick()
	w.expect(t, "t at orchestrator since 10m0s lost, 1 spans\n")
	w.now = w.now.Add(time.Second)
	w.view.Tick()
	w.expect(t, "")
	if _, ok := w.view.LastSign(p, strings.Repeat("0", 31)+"1", "0000000000000001"); ok {
		t.Error("a forgotten span has a last sign")
	}
}

func TestBounded(t *testing.T) {
	w := newWorld(10)
	for i := range 25 {
		w.tell(t, time.Duration(i)*time.Second, fmt.Sprintf("? execute_task | %ds | id=%x ai_team.task.id=t%d", i, i+1, i))
	}
	spans, dropped := w.view.Running()
	if spans != 10 || dropped != 15 {
		t.Errorf("%d spans, %d dropped; want 10 and 15", spans, dropped)
	}
	if tasks, total := w.view.Tasks(p, 3); len(tasks) != 3 || total != 10 || tasks[0].ID != "t15" {
		t.Errorf("%d of %d tasks: %+v", len(tasks), total, tasks)
	}
	for i := range recentlyEnded + 10 {
		w.view.mu.Lock()
		w.view.remember(key{p, "t", fmt.Sprint(i)})
		w.view.mu.Unlock()
	}
	if len(w.view.ended) != recentlyEnded {
		t.Errorf("%d ended spans are remembered, want %d", len(w.view.ended), recentlyEnded)
	}
}

func TestStateSurvives(t *testing.T) {
	w := newWorld(0)
	w.tell(t, 0, task+"\n"+writer)
	var raw bytes.Buffer
	if err := w.view.Save(&raw); err != nil {
		t.Fatal(err)
	}
	again := newWorld(0)
	again.now = began.Add(time.Hour) // the server was down
	if err := again.view.Load(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	again.expect(t, "t at writer since 1h0m0s, 2 spans\n")
	for _, bad := range []string{"", "[]", `{"Version":99}`} {
		if err := again.view.Load([]byte(bad)); err == nil {
			t.Errorf("state %q was read", bad)
		}
	}
	again.expect(t, "t at writer since 1h0m0s, 2 spans\n")
	if err := again.view.Load([]byte(`{"Version":1,"Running":[null]}`)); err != nil {
		t.Error(err)
	}
}

func TestChanged(t *testing.T) {
	w := newWorld(0)
	told := func(change func()) bool {
		c := w.view.Changed()
		change()
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if !told(func() { w.tell(t, 0, task) }) {
		t.Error("nobody was told of a task that began")
	}
	if told(func() { w.tell(t, time.Second, beats(1)) }) {
		t.Error("a heartbeat is no change")
	}
	if !told(func() { w.now = began.Add(time.Minute); w.view.Tick() }) {
		t.Error("nobody was told of a holder that went silent")
	}
	if !told(func() { w.tell(t, time.Minute, beats(1)) }) {
		t.Error("nobody was told of a holder that came back")
	}
	if !told(func() { w.tell(t, 2*time.Minute, "chat gpt-4o | 0s 1s | id=9 parent=1 ai_team.task.id=t") }) {
		t.Error("nobody was told of a task that goes on after a long silence")
	}
	if told(func() { w.tell(t, 2*time.Minute, "chat gpt-4o | 0s 1s | id=10 parent=1 ai_team.task.id=t") }) {
		t.Error("a call of a model is no change")
	}
	if !told(func() { w.tell(t, time.Minute, "execute_task | 0s 42s | id=1 ai_team.task.id=t") }) {
		t.Error("nobody was told of a task that ended")
	}
	w.view.Close()
	w.view.Close()
	<-w.view.Done()
}

func BenchmarkHeartbeat(b *testing.B) {
	v := New(Config{})
	rows := []store.Row{{Kind: store.KindHeartbeat, Fields: []store.Field{
		{Name: store.FieldTraceID, Value: store.String(strings.Repeat("a", 32))}, {Name: store.FieldSpanID, Value: store.String("0000000000000001")},
	}}}
	for b.Loop() {
		v.Committed(p, rows)
	}
}
