package budget_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/budget"
)

// spent answers as a server does whose budget is used up.
func spent(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"budgets":[{"name":"press-day","end":"2026-11-29T00:00:00Z","unit":"usd","limit":"25","spent":"25.04","exceeded":true}]}`)
}

// An orchestrator that stops when nothing is left of a budget.
func ExampleCheck() {
	server := httptest.NewServer(http.HandlerFunc(spent))
	defer server.Close()
	_ = os.Setenv("MINDSCOPE_SERVER", server.URL)
	defer os.Unsetenv("MINDSCOPE_SERVER")

	ctx, task := sdk.StartTask(context.Background(), "task-456", sdk.TaskType("article"), sdk.Team("press"))
	defer task.End(nil)
	if err := budget.Check(ctx); errors.Is(err, budget.ErrExceeded) {
		fmt.Println("no more work:", err)
	}
	http.DefaultClient.CloseIdleConnections()
	// Output: no more work: budget press-day is used up until 2026-11-29T00:00:00Z: 25.04 of 25 usd
}

// A server, project and team of one's own, asked before the call of a model.
func ExampleChecker_CheckModel() {
	server := httptest.NewServer(http.HandlerFunc(spent))
	defer server.Close()
	checker := budget.Checker{Server: server.URL, Project: "acme", Team: "press", Client: server.Client()}

	err := checker.CheckModel(context.Background(), "gpt-4o")
	if exceeded, ok := errors.AsType[*budget.ExceededError](err); ok {
		fmt.Println(exceeded.Error(), exceeded.Is(budget.ErrExceeded))
	}
	// Output: budget press-day is used up until 2026-11-29T00:00:00Z: 25.04 of 25 usd true
}
