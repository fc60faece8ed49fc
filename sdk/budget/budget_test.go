package budget_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/budget"
)

// transport answers requests without a network, so that time can be the test's.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func checker(f transport) *budget.Checker {
	return &budget.Checker{Server: "http://mindscope.example", Client: &http.Client{Transport: f}}
}

func respond(text string) *http.Response {
	w := httptest.NewRecorder()
	_, _ = io.WriteString(w, text)
	return w.Result()
}

const over = `{"budgets":[{"name":"b","exceeded":true}]}`

func TestQuestion(t *testing.T) {
	ask := func(ctx context.Context) (got string) {
		_ = checker(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return respond(`{}`), nil
		}).Check(ctx)
		return got
	}
	const route = "http://mindscope.example/api/mindscope/v1/budgets?"
	if got := ask(t.Context()); got != route+"team=default" {
		t.Error(got)
	}
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.namespace=news%20room")
	ctx, task := sdk.StartTask(t.Context(), "t", sdk.TaskType("article"))
	defer task.End(nil)
	ctx, agent := sdk.StartAgent(ctx, "writer")
	defer agent.End(nil)
	if got := ask(ctx); got != route+"agent=writer&team=news+room&type=article" {
		t.Error(got)
	}
	ctx, task = sdk.StartTask(t.Context(), "t", sdk.Team("press"))
	defer task.End(nil)
	if got := ask(ctx); got != route+"team=press" {
		t.Error(got)
	}
}

func TestAnswersHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		text := over
		c := checker(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return respond(text), nil
		})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if c.Check(t.Context()) == nil {
					t.Error("an exceeded budget let work pass")
				}
			})
		}
		all.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		text = `{"budgets":[{"name":"b"}]}`
		time.Sleep(5 * time.Second)
		if err := c.Check(t.Context()); err != nil || asked.Load() != 2 {
			t.Errorf("%v after %d questions", err, asked.Load())
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	f := func(name string, answer transport) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := checker(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				return answer(r)
			})
			begin := time.Now()
			for range 10 {
				if err := c.Check(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if took := time.Since(begin); took > 300*time.Millisecond || asked.Load() != 1 {
				t.Errorf("%s: %d questions took %s", name, asked.Load(), took)
			}
		})
	}
	f("away", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	f("hangs", func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
	f("nonsense", func(*http.Request) (*http.Response, error) { return respond(`<html>`), nil })
	f("fails", func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, over)
		return w.Result(), nil
	})
}

// TestLinesOfOthers: the server, which takes what a question leaves out for unknown, answers with the lines of all agents,
// models and types then; work that has none is counted in none of them.
func TestLinesOfOthers(t *testing.T) {
	ctx, task := sdk.StartTask(t.Context(), "t", sdk.TaskType("article"))
	defer task.End(nil)
	writer, agent := sdk.StartAgent(ctx, "writer")
	defer agent.End(nil)
	f := func(ctx context.Context, model, line string, want bool) {
		t.Helper()
		c := checker(func(*http.Request) (*http.Response, error) {
			return respond(`{"budgets":[{"name":"other"},{"name":"b","exceeded":true` + line + `}]}`), nil
		})
		if err := c.CheckModel(ctx, model); errors.Is(err, budget.ErrExceeded) != want {
			t.Errorf("%s: %v, want stopped: %v", line, err, want)
		}
	}
	f(t.Context(), "", ``, true)
	f(t.Context(), "", `,"team":"default"`, true)
	f(t.Context(), "", `,"agent":"writer"`, false)
	f(t.Context(), "", `,"type":"article"`, false)
	f(t.Context(), "", `,"model":"gpt-4o"`, false)
	f(t.Context(), "gpt-4o", `,"model":"gpt-4o"`, true)
	f(t.Context(), "", `,"unnamed":["agent"]`, true) // it names none either
	f(t.Context(), "", `,"unnamed":["model"]`, false)
	f(writer, "", `,"agent":"writer","unnamed":["model"]`, false)
	f(ctx, "", `,"type":"article"`, true)
	f(ctx, "", `,"type":"article","agent":"writer"`, false)
	f(writer, "", `,"type":"article","agent":"writer"`, true)
	f(writer, "", `,"type":"article","agent":"writer","model":"gpt-4o"`, false)
}

// TestCancelled: the end of one caller's context is no answer for others.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := checker(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(200 * time.Millisecond):
				return respond(over), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
		if c.Check(t.Context()) == nil {
			t.Error("the answer is lost")
		}
	})
}
