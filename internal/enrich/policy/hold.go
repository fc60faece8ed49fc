package policy

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// taskKey names a task; of a span without one, its trace.
type taskKey struct {
	project    signal.Project
	team, task string
	trace      pcommon.TraceID
}

func keyOf(p signal.Project, w who, trace pcommon.TraceID) taskKey {
	if w.task != "" {
		return taskKey{project: p, team: w.team, task: w.task}
	}
	return taskKey{project: p, trace: trace}
}

// outcome is what a span tells about its task.
type outcome struct {
	known, failed bool
	task          taskKey
	// trace is set when the span ends its trace only, and not the task.
	trace pcommon.TraceID
}

// outcomeOf reads the outcome off the span of a whole task, or off the root of a trace. A workflow inside another one tells
// something only when it failed: its task can still do so after it.
func outcomeOf(p signal.Project, w who, span ptrace.Span) outcome {
	root, workflow := span.ParentSpanID().IsEmpty(), w.operation == "invoke_workflow"
	if !root && !workflow {
		return outcome{}
	}
	o := outcome{task: keyOf(p, w, span.TraceID()), failed: span.Status().Code() == ptrace.StatusCodeError}
	status, said := span.Attributes().Get(conv.AITeamTaskStatus)
	if said {
		o.failed = o.failed || status.AsString() == "failed"
	}
	o.known = root || said || o.failed
	if !workflow {
		o.trace = span.TraceID()
	}
	return o
}

// entry is the content of one span.
type entry struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
	start pcommon.Timestamp
	who   who
	attrs pcommon.Map
	bytes int
}

type spanKey struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// entryBytes is about what an entry takes beside its texts.
const entryBytes = 300

// maxFailed bounds the failed tasks that are remembered, so that content that comes late is kept too.
const maxFailed = 10_000

// heldTask is the content of a task without an outcome, or the memory that it failed.
type heldTask struct {
	key     taskKey
	entries map[spanKey]entry
	bytes   int64
	last    time.Time
	failed  bool
}

// Stats count what happened to held content, in spans.
type Stats struct {
	// Held and HeldBytes are of now.
	Held, HeldBytes int64
	// Released content was stored since its task failed. Completed was dropped since its task did not, Expired since its
	// task had no outcome in time, Full since there was no room, Deleted with its span.
	Released, Completed, Expired, Full, Deleted int64
}

// holder keeps content back, in order of the tasks' last sign of life.
type holder struct {
	max   int64
	keep  time.Duration
	clock func() time.Time

	mu    sync.Mutex
	tasks map[taskKey]*list.Element // of *heldTask
	order *list.List                // the longest quiet first
	bytes int64
	held  int64

	released, completed, expired, full, deleted atomic.Int64
}

func newHolder(limit int64, keep time.Duration, clock func() time.Time) *holder {
	return &holder{max: limit, keep: keep, clock: clock, tasks: map[taskKey]*list.Element{}, order: list.New()}
}

func (h *holder) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{
		Held: h.held, HeldBytes: h.bytes, Released: h.released.Load(), Completed: h.completed.Load(),
		Expired: h.expired.Load(), Full: h.full.Load(), Deleted: h.deleted.Load(),
	}
}

// failed tells whether a task is known to have failed.
func (h *holder) failed(key taskKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.tasks[key]
	return ok && e.Value.(*heldTask).failed
}

// outcome takes note of an outcome. It tells whether the task has failed and content is to be released.
func (h *holder) outcome(o outcome) (release bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire()
	if o.failed {
		t := h.task(o.task)
		t.failed = true
		return len(t.entries) > 0
	}
	e, ok := h.tasks[o.task]
	if !ok {
		return false
	}
	t := e.Value.(*heldTask)
	if o.trace.IsEmpty() {
		h.remove(e, &h.completed)
		return false
	}
	for key, one := range t.entries {
		if one.trace == o.trace {
			h.account(t, -1, -one.bytes-entryBytes)
			h.completed.Add(1)
			delete(t.entries, key)
		}
	}
	return false
}

// add holds the content of a span. A span that was sent twice is held once.
func (h *holder) add(key taskKey, e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire()
	t := h.task(key)
	at := spanKey{e.trace, e.span}
	if _, again := t.entries[at]; again {
		return
	}
	if t.entries == nil {
		t.entries = map[spanKey]entry{}
	}
	t.entries[at] = e
	h.account(t, 1, e.bytes+entryBytes)
	for h.bytes > h.max {
		h.remove(h.order.Front(), &h.full)
	}
}

// take hands out the content of a task, which stays known as failed.
func (h *holder) take(key taskKey) map[spanKey]entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.tasks[key]
	if !ok {
		return nil
	}
	t := e.Value.(*heldTask)
	entries := t.entries
	t.entries = nil
	h.account(t, -len(entries), -int(t.bytes))
	return entries
}

// putBack undoes take.
func (h *holder) putBack(key taskKey, entries map[spanKey]entry) {
	for _, e := range entries {
		h.add(key, e)
	}
}

// task returns the task, moved to the end of the order.
func (h *holder) task(key taskKey) *heldTask {
	e, ok := h.tasks[key]
	if !ok {
		if len(h.tasks) >= maxFailed {
			h.remove(h.order.Front(), &h.full)
		}
		e = h.order.PushBack(&heldTask{key: key})
		h.tasks[key] = e
	}
	h.order.MoveToBack(e)
	t := e.Value.(*heldTask)
	t.last = h.clock()
	return t
}

func (h *holder) account(t *heldTask, spans, bytes int) {
	t.bytes += int64(bytes)
	h.bytes += int64(bytes)
	h.held += int64(spans)
}

// expire drops what has been quiet for too long.
func (h *holder) expire() {
	until := h.clock().Add(-h.keep)
	for e := h.order.Front(); e != nil && e.Value.(*heldTask).last.Before(until); e = h.order.Front() {
		h.remove(e, &h.expired)
	}
}

func (h *holder) remove(e *list.Element, counter *atomic.Int64) {
	t := e.Value.(*heldTask)
	counter.Add(int64(len(t.entries)))
	h.account(t, -len(t.entries), -int(t.bytes))
	h.order.Remove(e)
	delete(h.tasks, t.key)
}
