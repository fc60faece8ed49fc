package live

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
)

// usual knows of two kinds how long they take.
type usual struct{}

func (usual) Task(_ signal.Project, _, taskType string) (time.Duration, bool) {
	return 20 * time.Second, taskType == "article"
}

func (usual) Agent(_ signal.Project, _, agent string) (time.Duration, bool) {
	return 5 * time.Second, agent == "writer"
}

// drawn draws the trees of what runs.
func (w *world) drawn() string {
	tasks, _ := w.view.Tasks(p, 100)
	var b strings.Builder
	var draw func(nodes []*Node, indent string)
	draw = func(nodes []*Node, indent string) {
		for _, n := range nodes {
			fmt.Fprintf(&b, "%s%s %v", indent, n.Agent, w.now.Sub(n.Since))
			if n.Usual > 0 {
				fmt.Fprintf(&b, " of %v", n.Usual)
			}
			if n.Lost {
				b.WriteString(" lost")
			}
			for _, wait := range n.WaitsFor {
				fmt.Fprintf(&b, ", waits for %s %v", wait.Agent, w.now.Sub(wait.Since))
				if wait.Queued {
					b.WriteString(" queued")
				}
			}
			b.WriteString("\n")
			draw(n.Children, indent+"  ")
		}
	}
	for _, t := range tasks {
		fmt.Fprintf(&b, "%s", t.ID)
		if t.Stuck {
			b.WriteString(" stuck")
		}
		if t.Circles != nil {
			fmt.Fprintf(&b, " ping-pong of %v, %d", t.Circles.Agents, t.Circles.Times)
		}
		b.WriteString("\n")
		draw(t.Tree, "  ")
	}
	return b.String()
}

func (w *world) draws(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, w.drawn()); diff != "" {
		t.Errorf("after %v (-want +got)\n%s", w.now.Sub(began), diff)
	}
}

func newFlowWorld() *world {
	w := newWorld(0)
	w.view.cfg.Usual = usual{}
	return w
}

const article = `? execute_task | 0s | id=1 ai_team.task.id=t ai_team.task.type=article mindscope.agent=boss
`

// order is a command as its sender's span tells it.
func order(id, at, from, to string) string {
	return fmt.Sprintf("send | %s 1ms | id=a%s parent=1 kind=producer ai_team.task.id=t ai_team.message.type=COMMAND messaging.message.id=m%s from=%s to=%s\n", at, id, id, from, to)
}

func answer(id, at, from, to string) string {
	return fmt.Sprintf("send | %s 1ms | id=b%s parent=1 kind=producer ai_team.task.id=t ai_team.message.type=RESULT messaging.message.conversation_id=m%s from=%s to=%s\n", at, id, id, from, to)
}

func TestTreeOfRunningWork(t *testing.T) {
	w := newFlowWorld()
	w.tell(t, time.Second, article)
	w.draws(t, "t\n  boss 1s of 20s\n")
	w.tell(t, 3*time.Second, order("1", "2s", "boss", "writer"))
	w.draws(t, "t\n  boss 3s of 20s, waits for writer 1s queued\n")
	// The spans of the message itself are not known before they end: the writer hangs under who gave it the work.
	w.tell(t, 5*time.Second, "? invoke_agent writer | 4s | id=2 parent=99 ai_team.task.id=t mindscope.agent=writer")
	w.draws(t, "t\n  boss 5s of 20s, waits for writer 3s\n    writer 1s of 5s\n")
	// The writer asks a researcher in its own process.
	w.tell(t, 6*time.Second, "? invoke_agent researcher | 6s | id=3 parent=2 ai_team.task.id=t mindscope.agent=researcher")
	w.draws(t, "t\n  boss 6s of 20s, waits for writer 4s\n    writer 2s of 5s, waits for researcher 0s\n      researcher 0s\n")
	w.tell(t, 8*time.Second, "invoke_agent researcher | 6s 2s | id=3 parent=2 ai_team.task.id=t\ninvoke_agent writer | 4s 4s | id=2 parent=99 ai_team.task.id=t\n"+answer("1", "8s", "writer", "boss"))
	w.draws(t, "t\n  boss 8s of 20s\n")
	// Nothing moves any more; heartbeats are no progress.
	w.tell(t, 61*time.Second, "! beat | 0s | id=1 ai_team.task.id=t")
	w.draws(t, "t\n  boss 1m1s of 20s\n")
	w.tell(t, 68*time.Second, "! beat | 0s | id=1 ai_team.task.id=t")
	w.draws(t, "t stuck\n  boss 1m8s of 20s\n")
	w.view.Stuck(func(project signal.Project, team string, n int) {
		if project != p || team != "default" || n != 1 {
			t.Errorf("stuck: %d of team %s", n, team)
		}
	})
	w.tell(t, 69*time.Second, "chat | 60s 9s | parent=1 ai_team.task.id=t")
	w.draws(t, "t\n  boss 1m9s of 20s\n")
	w.tell(t, 70*time.Second, "execute_task | 0s 70s | id=1 ai_team.task.id=t")
	w.draws(t, "")
	if n := len(w.view.flows); n != 0 {
		t.Errorf("%d tasks are kept though none runs", n)
	}
}

// TestNameIsLearned: a task's span that began without an agent gets the name by which it sends, or that a beat tells.
func TestNameIsLearned(t *testing.T) {
	w := newFlowWorld()
	w.tell(t, 0, "? execute_task | 0s | id=1 ai_team.task.id=t\ntrace 2\n? execute_task | 0s | id=1 ai_team.task.id=u")
	w.draws(t, "t\n   0s\nu\n   0s\n")
	w.tell(t, time.Second, order("1", "1s", "boss", "writer")+"trace 2\n! beat | 0s | id=1 ai_team.task.id=u mindscope.agent=chief")
	w.draws(t, "t\n  boss 1s, waits for writer 0s queued\nu\n  chief 1s\n")
}

// TestBadParents: spans that name each other as parents, themselves, or nobody, are all shown, once.
func TestBadParents(t *testing.T) {
	w := newFlowWorld()
	w.tell(t, 4*time.Second, article+`? invoke_agent a | 1s | id=a parent=b ai_team.task.id=t mindscope.agent=a
? invoke_agent b | 2s | id=b parent=a ai_team.task.id=t mindscope.agent=b
? invoke_agent c | 3s | id=c parent=c ai_team.task.id=t mindscope.agent=c
? invoke_agent d | 1h | id=d parent=77 ai_team.task.id=t mindscope.agent=d
`)
	w.draws(t, "t\n  boss 4s of 20s, waits for c 1s, waits for d -59m56s\n    c 1s\n    d -59m56s\n  a 3s, waits for b 2s\n    b 2s\n")
}

func TestPingPong(t *testing.T) {
	f := func(want string, steps ...string) {
		t.Helper()
		w := newFlowWorld()
		w.tell(t, 0, article)
		n := 0
		for _, step := range steps {
			n++
			at := fmt.Sprintf("%ds", n)
			if agents := strings.Split(step, ">"); len(agents) == 2 {
				w.tell(t, time.Duration(n)*time.Second, order(fmt.Sprint(n), at, agents[0], agents[1])+answer(fmt.Sprint(n), at, agents[1], agents[0]))
				continue
			}
			w.tell(t, time.Duration(n)*time.Second, fmt.Sprintf("invoke_agent critic | %s 1ms | id=c%d parent=1 ai_team.task.id=t ai_team.quality_score=%s", at, n, step))
		}
		line, _, _ := strings.Cut(w.drawn(), "\n")
		if line != want {
			t.Errorf("%v: %q, want %q", steps, line, want)
		}
	}
	// Over one who gives all orders: writer and critic go round.
	f("t", "boss>writer", "boss>critic", "6.0", "boss>writer", "boss>critic", "6.2")
	f("t ping-pong of [writer critic], 4", "boss>writer", "boss>critic", "6.0", "boss>writer", "boss>critic", "6.2", "boss>writer")
	// The quality rises: that is work.
	f("t", "boss>writer", "boss>critic", "6.0", "boss>writer", "boss>critic", "6.5", "boss>writer", "boss>critic", "6.6", "boss>writer")
	// It rose once, and then no more.
	f("t ping-pong of [writer critic], 4", "boss>writer", "boss>critic", "6.0", "boss>writer", "boss>critic", "6.5", "boss>writer", "boss>critic", "6.6", "boss>writer", "boss>critic")
	// Two that speak to each other, and nobody judges.
	f("t", "a>b", "b>a", "a>b")
	f("t ping-pong of [a b], 4", "a>b", "b>a", "a>b", "b>a")
	// A third one is asked in between.
	f("t", "a>b", "b>a", "a>c", "a>b", "b>a", "a>b")
}

func TestFlowsSurviveRestart(t *testing.T) {
	w := newFlowWorld()
	w.tell(t, 0, article)
	for i := range 4 {
		agents := []string{"a", "b"}
		w.tell(t, time.Second, order(fmt.Sprint(i), "1s", agents[i%2], agents[1-i%2]))
	}
	var raw bytes.Buffer
	if err := w.view.Save(&raw); err != nil {
		t.Fatal(err)
	}
	before := w.drawn()
	again := newFlowWorld()
	again.now = w.now
	if err := again.view.Load(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, again.drawn()); diff != "" || !strings.Contains(before, "ping-pong") {
		t.Errorf("(-before +after)\n%s", diff)
	}
}
