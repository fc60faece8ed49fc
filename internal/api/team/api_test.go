package team

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/derive/live"
	"github.com/mindscope/mindscope/internal/enrich/identity"
	"github.com/mindscope/mindscope/internal/query/care"
	query "github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/query/teamtest"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// now is half an hour after the scenario began.
var now = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

const scenario = `service newsroom
resource ai_team.team=press
trace 1
execute_task | 0s 9s | id=1 ai_team.task.id=task-456 ai_team.task.type=article session.id=c1 user.id=ann mindscope.operation=invoke_workflow outcome=completed ai_team.quality_score=8.4
  send cmd.writer | 1s 2ms | id=2 kind=producer messaging.destination.name=cmd.writer ai_team.task.id=task-456 to=writer
    process agent.writer | 1040ms 5s | id=3 kind=consumer messaging.destination.name=agent.writer ai_team.task.id=task-456 to=writer
      chat gpt | 2s 3s | id=4 kind=client ai_team.task.id=task-456 session.id=c1 user.id=ann mindscope.operation=chat mindscope.model=gpt mindscope.agent=writer mindscope.tokens_input=1204 mindscope.tokens_output=812 mindscope.cost_micro_usd=23100 gen_ai.input.messages="[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Write.\"}]}]"
        "asked" | 2s | ai_team.task.id=task-456 severity=INFO
      save_artifact | 5s 1ms | id=5 ai_team.task.id=task-456 mindscope.agent=writer ai_team.artifact.key=task-456/draft.md ai_team.artifact.digest=sha256:d0 ai_team.artifact.size=800
---
service newsroom
resource ai_team.team=press
trace 2
execute_task | 60s 9s | id=1 ai_team.task.id=task-457 mindscope.operation=invoke_workflow mindscope.agent=orchestrator error="no answer" error.type=timeout
---
resource ai_team.team=press
trace 3
execute_task | 120s 1s | id=1 ai_team.task.id=twice
---
resource ai_team.team=radio
trace 4
execute_task | 120s 1s | id=1 ai_team.task.id=twice
`

const trace1 = "00000000000000000000000000000001"

func handler(t *testing.T) (http.Handler, *API) {
	t.Helper()
	clock := func() time.Time { return now }
	db := memdb.New(memdb.Config{Clock: clock})
	sink := identity.New(store.NewSink(db, nil))
	for block := range strings.SplitSeq(scenario, "---\n") {
		traces, logs, err := teamtest.Parse(block)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Traces(t.Context(), signal.DefaultProject, traces); err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Logs(t.Context(), signal.DefaultProject, logs); err != nil {
			t.Fatal(err)
		}
	}
	big := strings.Repeat("a long prompt. ", 40)
	row := store.Row{Kind: store.KindSpan, ID: "big", Time: now.UnixNano(), Fields: []store.Field{{Name: "attr.prompt", Value: store.String(big)}}}
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{row}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a := Register(mux, query.New(db, query.Options{Clock: clock}), "v0.0.0")
	a.Care(care.New(db, clock))
	a.Live(live.New(live.Config{Clock: clock}))
	costs := query.NewCosts(db, query.CostOptions{Prices: func() query.Prices { return cent{} }, Writer: db, Clock: clock})
	a.Costs(costs)
	budgets := query.NewBudgets([]query.Budget{
		{Name: "press-day", Project: signal.DefaultProject, For: query.Work{Team: "press"}, Period: query.Daily, USD: 20_000_000_000},
		{Name: "each-model", Project: signal.DefaultProject, Per: []string{"team", "model"}, Period: query.Monthly, Tokens: 10_000},
		{Name: "each-type", Project: signal.DefaultProject, Per: []string{"agent", "type"}, Period: query.Monthly, Tokens: 10_000},
	}, clock)
	budgets.Use(costs)
	a.Budgets(budgets)
	return mux, a
}

// cent is a price book in which every call costs a cent.
type cent struct{}

func (cent) Version() string { return "test" }
func (cent) Price(query.Call) (query.Priced, bool) {
	return query.Priced{Cost: 1e10, Parts: "{}"}, true
}
func (cent) Table(c query.Call) (query.Priced, bool) { return cent{}.Price(c) }
func (cent) With([]byte) (query.Prices, error)       { return cent{}, nil }
func (cent) Show(_, model string, _ time.Time) []query.PriceEntry {
	return []query.PriceEntry{{Source: "own", Model: model, InForce: true, Prices: []query.PriceLine{{Bucket: "requests", USD: "10"}}}}
}

// ask sends a request and returns the answer as text: status, headers, body.
func ask(h http.Handler, method, target, body string, headers ...string) string {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n%s\n\n%d\n", method, target, body, w.Code)
	for _, name := range []string{"Allow", "Content-Type", "X-Content-Type-Options", "Content-Disposition", "Retry-After"} {
		if v := w.Header().Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	b.WriteString("\n")
	var indented bytes.Buffer
	if json.Indent(&indented, w.Body.Bytes(), "", "  ") == nil {
		b.WriteString(indented.String())
	} else {
		b.WriteString(w.Body.String())
	}
	return strings.TrimRight(regexp.MustCompile(`"took_ms": \d+`).ReplaceAllString(b.String(), `"took_ms": 0`), "\n") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -rewrite writes it)\n%s", name, diff)
	}
}

func TestAnswers(t *testing.T) {
	h, _ := handler(t)
	hash := store.PayloadHash(signal.DefaultProject, strings.Repeat("a long prompt. ", 40))
	for _, f := range []struct{ name, method, path, body string }{
		{"list-tasks", "GET", "/tasks", ""},
		{"list-tasks-filtered", "GET", "/tasks?failed=true&limit=1&since=2026-03-01T10:00:00Z", ""},
		{"list-tasks-page", "GET", "/tasks?limit=1", ""},
		{"list-tasks-of-another-project", "GET", "/tasks?project=other", ""},
		{"get-task", "GET", "/tasks/task-456", ""},
		{"get-task-by-trace", "GET", "/tasks/" + trace1, ""},
		{"get-task-logs", "GET", "/tasks/task-456/logs", ""},
		{"audit-task", "GET", "/tasks/task-456/audit", ""},
		{"get-lineage", "GET", "/lineage?of=task-456/draft.md", ""},
		{"error-unknown-artifact", "GET", "/lineage?of=nothing", ""},
		{"error-lineage-of-nothing", "GET", "/lineage", ""},
		{"error-unknown-audit", "GET", "/tasks/task-1/audit", ""},
		{"get-trace", "GET", "/traces/" + trace1 + "?limit=2", ""},
		{"get-payload", "GET", "/payloads/" + hash, ""},
		{"list-conversations", "GET", "/conversations", ""},
		{"get-conversation-messages", "GET", "/conversations/c1/messages", ""},
		{"get-span-messages", "GET", "/traces/" + trace1 + "/spans/0000000000000004/messages", ""},
		{"list-users", "GET", "/users?since=2026-03-01T09:00:00Z", ""},
		{"delete-rows", "POST", "/deletions", `{"task":"task-457","dry_run":true}`},
		{"scrub-rows", "POST", "/scrubs", `{"match":"nothing like it","dry_run":true}`},
		{"export-rows", "GET", "/export?task=task-457", ""},

		{"sum-costs", "GET", "/costs?by=team,model", ""},
		{"list-budgets", "GET", "/budgets", ""},
		{"list-budgets-of-a-team", "GET", "/budgets?team=radio&agent=writer", ""},
		{"show-price", "GET", "/prices?model=gpt", ""},
		{"check-prices", "GET", "/prices/disagreements", ""},
		{"recost", "POST", "/recosts", `{}`},
		{"error-cost-key", "GET", "/costs?by=weather", ""},
		{"error-price-without-model", "GET", "/prices", ""},
		{"error-recost-as-model", "POST", "/recosts", `{"as_model":"m","apply":true}`},

		{"error-unknown-task", "GET", "/tasks/task-1", ""},
		{"error-unknown-logs", "GET", "/tasks/task-1/logs", ""},
		{"error-unknown-trace", "GET", "/traces/" + strings.Repeat("9", 32), ""},
		{"error-unknown-span", "GET", "/traces/" + trace1 + "/spans/9999999999999999/messages", ""},
		{"error-unknown-payload", "GET", "/payloads/" + strings.Repeat("9", 32), ""},
		{"error-unknown-conversation", "GET", "/conversations/c9/messages", ""},
		{"error-ambiguous-task", "GET", "/tasks/twice", ""},
		{"error-page-token", "GET", "/tasks?page=zzz", ""},
		{"error-page-token-of-another-list", "GET", "/users?page=eyJsIjoidGFza3MiLCJpIjoiIn0", ""},
		{"error-limit", "GET", "/tasks?limit=100000", ""},
		{"error-status", "GET", "/tasks?status=fine", ""},
		{"error-since", "GET", "/tasks?since=yesterday", ""},
		{"error-duration", "GET", "/tasks?min_duration=long", ""},
		{"error-live-project", "GET", "/live?project=No%20Such", ""},
		{"error-project", "GET", "/tasks?project=No%20Such", ""},
		{"error-method", "DELETE", "/tasks/task-456", ""},
		{"error-method-of-post", "GET", "/scrubs", ""},
		{"error-path", "GET", "/taskz", ""},
		{"error-expression", "POST", "/scrubs", `{"match":"("}`},
		{"error-no-target", "POST", "/deletions", `{}`},
		{"error-no-json", "POST", "/deletions", `task=1`},
	} {
		golden(t, f.name, ask(h, f.method, Prefix+f.path, f.body, "Content-Type", "application/json"))
	}
}

// TestPagesJoin: what the pages hold is what one large page holds.
func TestPagesJoin(t *testing.T) {
	h, _ := handler(t)
	read := func(query string) (ids []string, next string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, Prefix+"/tasks?"+query, nil))
		var page struct {
			Tasks []Task `json:"tasks"`
			Next  string `json:"next"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%v, %d %s", err, w.Code, w.Body)
		}
		for _, task := range page.Tasks {
			ids = append(ids, task.Team+"/"+task.ID)
		}
		return ids, page.Next
	}
	want, next := read("limit=1000")
	if next != "" || len(want) != 4 {
		t.Fatalf("%v, next %q", want, next)
	}
	var got []string
	for next = "first"; next != ""; {
		var ids []string
		ids, next = read("limit=1&page=" + strings.TrimPrefix(next, "first"))
		got = append(got, ids...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestEveryRouteHasAGolden: what is registered is described and has an example of its answer.
func TestEveryRouteHasAGolden(t *testing.T) {
	_, a := handler(t)
	routes := 0
	for path, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			routes++
			if _, err := os.Stat(filepath.Join("testdata", op.OperationID+".golden")); err != nil {
				t.Errorf("%s %s has no golden file: %v", op.Method, path, err)
			}
			if op.Summary == "" || op.Responses["422"] != nil {
				t.Errorf("%s %s: no summary, or a status that is never answered", op.Method, path)
			}
		}
	}
	if routes < 12 {
		t.Errorf("only %d routes are described", routes)
	}
}

// TestNoRouteBesideTheDescription: routes are registered by get, post and stream only, which describe them.
func TestNoRouteBesideTheDescription(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Handle", "HandleFunc"}, s.Sel.Name) {
				found = append(found, path)
			}
			return true
		})
	}
	if !cmp.Equal(found, []string{"api.go"}) { // the answer to unknown paths
		t.Errorf("routes that the description does not know, in %v", found)
	}
}

func TestDescriptionIsCurrent(t *testing.T) {
	got, err := Describe()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/openapi.yaml is not current, `make generate` writes it (-file +routes)\n%s", diff)
	}
	if !strings.Contains(string(got), "openapi: 3.1") {
		t.Error("the description is not OpenAPI 3.1")
	}
}
