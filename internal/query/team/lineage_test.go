package team

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

func thingText(t Thing) string {
	if t.Artifact != nil {
		return t.Artifact.Key + "@" + t.Artifact.Digest
	}
	return t.Table + "/" + t.ID
}

func lineageText(l Lineage) string {
	var b strings.Builder
	for _, o := range l.Origins {
		fmt.Fprintf(&b, "made %s by %s of %s/%s:", thingText(o.Thing), o.Agent, o.Team, o.Task)
		for _, c := range o.Calls {
			fmt.Fprintf(&b, " %s %d", c.Model, c.Tokens.Total())
		}
		fmt.Fprintf(&b, ", %d tokens, $%s, %d unpriced", o.Tokens.Total(), o.Cost, o.Unpriced)
		for _, from := range o.From {
			fmt.Fprintf(&b, ", from %s", thingText(from))
		}
		b.WriteString("\n")
	}
	for _, u := range l.Uses {
		fmt.Fprintf(&b, "used %s by %s of %s", thingText(u.Thing), u.Agent, u.Task)
		for _, made := range u.Made {
			fmt.Fprintf(&b, ", which made %s", thingText(made))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestWhence(t *testing.T) {
	clock := func() time.Time { return at.Add(3 * time.Hour) }
	db := memdb.New(memdb.Config{Clock: clock})
	const call = "kind=client gen_ai.operation.name=chat gen_ai.usage.output_tokens=0 gen_ai.request.model="
	piped(t, db, strings.ReplaceAll(`resource ai_team.team=press
trace 1
execute_task | 0s 60s | id=1 @ gen_ai.operation.name=invoke_workflow gen_ai.agent.name=boss outcome=completed
  chat planner | 1s 1s | @ `+call+`planner gen_ai.usage.input_tokens=1
  invoke_agent writer | 2s 10s | @ gen_ai.operation.name=invoke_agent gen_ai.agent.name=writer
    chat gpt | 3s 1s | @ `+call+`gpt gen_ai.usage.input_tokens=10
    chat gpt | 4s 1s | @ `+call+`gpt gen_ai.usage.input_tokens=99 error="status 500"
    save_artifact | 6s 1ms | @ ai_team.artifact.key=a/draft.md ai_team.artifact.digest=sha256:d0 ai_team.artifact.id=draft
    chat gpt | 7s 1s | @ `+call+`gpt gen_ai.usage.input_tokens=100
    save_artifact | 9s 1ms | @ ai_team.artifact.key=a/draft.md ai_team.artifact.digest=sha256:d1 ai_team.artifact.id=draft
    INSERT steps | 9s 1ms | @ kind=client ai_team.record.table=steps ai_team.record.id=17
  invoke_agent editor | 20s 10s | @ gen_ai.operation.name=invoke_agent gen_ai.agent.name=editor
    load_artifact | 21s 1ms | @ ai_team.artifact.key=a/draft.md ai_team.artifact.digest=sha256:d1
    SELECT steps | 21s 1ms | @ kind=client ai_team.record.table=steps ai_team.record.id=17
    chat mini | 22s 1s | @ `+call+`mini gen_ai.usage.input_tokens=5
    save_artifact | 25s 1ms | @ ai_team.artifact.key=a/final.md ai_team.artifact.digest=sha256:f
`, "@", "ai_team.task.id=one"), `resource ai_team.team=press
trace 2
invoke_agent archivist | 1h 5s | gen_ai.operation.name=invoke_agent gen_ai.agent.name=archivist
  save_artifact | 1h1s 1ms | ai_team.artifact.key=archive/1 ai_team.artifact.digest=sha256:d1
  load_artifact | 1h2s 1ms | ai_team.artifact.key=archive/1 ai_team.artifact.digest=sha256:d1
`)
	q := New(db, Options{Clock: clock})
	f := func(what, want string) {
		t.Helper()
		l, err := q.Whence(t.Context(), p, what)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, lineageText(l)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	const (
		first  = "made a/draft.md@sha256:d0 by writer of press/one: gpt 10, 10 tokens, $0, 1 unpriced\n"
		second = "made a/draft.md@sha256:d1 by writer of press/one: gpt 10 gpt 100, 110 tokens, $0, 2 unpriced\n"
		loaded = "used a/draft.md@sha256:d1 by editor of one, which made a/final.md@sha256:f\n"
	)
	copied := "made archive/1@sha256:d1 by archivist of press/" + hexTrace(2) + ":, 0 tokens, $0, 0 unpriced\n"
	reloaded := "used archive/1@sha256:d1 by archivist of " + hexTrace(2) + "\n"
	f("a/draft.md", first+second+copied+loaded+reloaded)
	f("sha256:d1", second+copied+loaded+reloaded)
	f("d0", first)
	f("a/final.md", "made a/final.md@sha256:f by editor of press/one: mini 5, 5 tokens, $0, 1 unpriced, from a/draft.md@sha256:d1, from steps/17\n")
	record := "made steps/17 by writer of press/one: gpt 10 gpt 100, 110 tokens, $0, 2 unpriced\nused steps/17 by editor of one, which made a/final.md@sha256:f\n"
	f("17", record)
	f("steps/17", record)
	for _, what := range []string{"nothing", "", "other/17x"} {
		if _, err := q.Whence(t.Context(), p, what); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", what, err)
		}
	}
}
