// Package budget asks a MindScope server whether a budget is used up, so that an orchestrator can stop before it gives
// out more work:
//
//	if err := budget.Check(ctx); err != nil {
//		return err
//	}
//
// It never holds work up for want of a server: one that is away, slow or answers nonsense stops nobody.
package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mindscope/mindscope/sdk"
)

// ErrExceeded marks the errors of Check: errors.Is(err, budget.ErrExceeded).
var ErrExceeded = errors.New("budget is used up")

// ExceededError says which budget is used up. It is an ErrExceeded.
type ExceededError struct {
	// Name is the budget's in the server's configuration.
	Name string
	// Spent and Limit are exact decimal numbers of Unit, usd or tokens.
	Spent, Limit, Unit string
	// Until is when the budget begins anew.
	Until time.Time
}

// Error implements error.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("budget %s is used up until %s: %s of %s %s", e.Name, e.Until.UTC().Format(time.RFC3339), e.Spent, e.Limit, e.Unit)
}

// Is implements the interface of errors.Is.
func (e *ExceededError) Is(target error) bool { return target == ErrExceeded }

const (
	defaultServer = "http://127.0.0.1:9090"
	// holds is how long an answer, or the lack of one, is used again.
	holds = 5 * time.Second
	// timeout is the longest that work may wait for an answer.
	timeout = 300 * time.Millisecond
	// maxAnswers bounds the answers that are kept; with more all are forgotten.
	maxAnswers = 1000
	maxBody    = 4 << 20
)

// Checker asks one server. The zero value asks the one that MINDSCOPE_SERVER names, http://127.0.0.1:9090 by default, about
// the project MINDSCOPE_PROJECT. It is safe for concurrent use and must not be copied after its first use.
type Checker struct {
	// Server is the server's address, Project the project to ask about; "" is what the variables say.
	Server, Project string
	// Team is that of contexts that name none; "" is service.namespace in OTEL_RESOURCE_ATTRIBUTES, else default.
	Team string
	// Client asks; nil is one of its own.
	Client *http.Client

	mu      sync.Mutex
	answers map[question]*answer
}

type question struct{ team, agent, model, taskType string }

// answer is what the server said; ready is closed when it is there.
type answer struct {
	ready chan struct{}
	at    time.Time
	err   error
}

// shared is what Check asks. It is safe for concurrent use.
var shared Checker

// Check returns an error, an ErrExceeded, when a budget is used up in which the work of ctx is counted: that of its team,
// agent and type of task. Budgets of an agent or a type that ctx does not name don't count, nor do those of a model: ask
// CheckModel about them. Otherwise, and whenever the server gives no answer within 300 ms, it returns nil. Answers, and the
// lack of one, hold for five seconds, so it may be asked before each step.
func Check(ctx context.Context) error { return shared.Check(ctx) }

// Check is Check of the package, asked of c's server.
func (c *Checker) Check(ctx context.Context) error { return c.CheckModel(ctx, "") }

// CheckModel is Check for a call of a model: budgets of that model count too.
func (c *Checker) CheckModel(ctx context.Context, model string) error {
	q := question{team: sdk.TeamOf(ctx), agent: sdk.AgentFrom(ctx), model: model, taskType: sdk.TypeOfTask(ctx)}
	if q.team == "" {
		q.team = c.team()
	}
	a, mine := c.find(q)
	if mine {
		// What ctx ends must not be taken for an answer by others, so the question lives on its own.
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
			defer cancel()
			a.err = c.ask(ctx, q)
			close(a.ready)
		}()
	}
	select {
	case <-a.ready:
		return a.err
	case <-ctx.Done():
		return nil // the caller has stopped for another reason
	}
}

// find returns the answer to q, and whether the caller has to ask for it.
func (c *Checker) find(q question) (a *answer, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if a, ok := c.answers[q]; ok && now.Sub(a.at) < holds {
		return a, false
	}
	if c.answers == nil || len(c.answers) >= maxAnswers {
		c.answers = map[question]*answer{}
	}
	a = &answer{ready: make(chan struct{}), at: now}
	c.answers[q] = a
	return a, true
}

// ask returns an ExceededError, or nil when none is or nobody knows.
func (c *Checker) ask(ctx context.Context, q question) error {
	v := url.Values{}
	for key, value := range map[string]string{"team": q.team, "agent": q.agent, "model": q.model, "type": q.taskType} {
		if value != "" {
			v.Set(key, value)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(first(c.Server, os.Getenv("MINDSCOPE_SERVER"), defaultServer), "/")+
		"/api/mindscope/v1/budgets?"+v.Encode(), nil)
	if err != nil {
		return nil
	}
	if project := first(c.Project, os.Getenv("MINDSCOPE_PROJECT")); project != "" {
		req.Header.Set("X-Mindscope-Project", project)
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct {
		Budgets []struct {
			Name     string    `json:"name"`
			Agent    string    `json:"agent"`
			Model    string    `json:"model"`
			Type     string    `json:"type"`
			Unnamed  []string  `json:"unnamed"`
			End      time.Time `json:"end"`
			Unit     string    `json:"unit"`
			Limit    string    `json:"limit"`
			Spent    string    `json:"spent"`
			Exceeded bool      `json:"exceeded"`
		} `json:"budgets"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&body) != nil {
		return nil
	}
	for _, b := range body.Budgets {
		// To the server a part that q leaves out is unknown, and any may be meant; here it is one that the work has not.
		mine := among(q.agent, b.Agent) && among(q.model, b.Model) && among(q.taskType, b.Type)
		// A budget for each of something has a line of the work that names none. Work without an agent is in that of agents,
		// but a question that is about no call is not in that of models.
		mine = mine && (q.model != "" || !slices.Contains(b.Unnamed, "model"))
		if b.Exceeded && mine {
			return &ExceededError{Name: b.Name, Spent: b.Spent, Limit: b.Limit, Unit: b.Unit, Until: b.End}
		}
	}
	return nil
}

// among tells whether a part of some work is what a budget is narrowed to, "" for all of them.
func among(part, narrowed string) bool { return narrowed == "" || narrowed == part }

// team is that of work that names none.
func (c *Checker) team() string {
	if c.Team != "" {
		return c.Team
	}
	for pair := range strings.SplitSeq(os.Getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.TrimSpace(key) != "service.namespace" {
			continue
		}
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); err == nil && plain != "" {
			return plain
		}
	}
	return "default"
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
