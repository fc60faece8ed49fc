package team

import (
	"context"
	"fmt"
	"strings"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

// Order is what the orchestrator asks an agent for.
type Order struct {
	Topic    string `json:"topic"`
	Text     string `json:"text,omitempty"`
	Revision int    `json:"revision"`
}

// Answer is what an agent gives back.
type Answer struct {
	Text    string          `json:"text,omitempty"`
	Score   float64         `json:"score,omitempty"`
	Key     string          `json:"key,omitempty"`
	Metrics mindbus.Metrics `json:"metrics"`
}

func (t *Team) writer(ctx context.Context, m mindbus.Message) (payload any, err error) {
	ctx, agent := sdk.StartAgent(ctx, "writer")
	defer agent.End(&err)
	var order Order
	if err := m.Decode(&order); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "writing", "topic", order.Topic, "revision", order.Revision)
	draft, metrics, err := t.ask(ctx, "gpt-4o", "You are the writer of the team.",
		fmt.Sprintf("%s\nWrite the article, revision %d.", order.Topic, order.Revision), false)
	if err != nil {
		return nil, err
	}
	if err := t.record(ctx, "writer", "draft"); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s/draft-%d.md", folderOf(ctx), order.Revision)
	if _, err := t.artifacts.Save(ctx, key, []byte(draft), "text/markdown"); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "draft written", "bytes", len(draft))
	return Answer{Text: draft, Key: key, Metrics: metrics}, nil
}

func (t *Team) critic(ctx context.Context, m mindbus.Message) (payload any, err error) {
	ctx, agent := sdk.StartAgent(ctx, "critic")
	defer agent.End(&err)
	var order Order
	if err := m.Decode(&order); err != nil {
		return nil, err
	}
	if strings.Contains(order.Topic, "[panic]") {
		panic("critic: index out of range [3] with length 3") // a bug of the agent's, for the demo
	}
	verdict, metrics, err := t.ask(ctx, "claude-sonnet-4-5", "You are the critic of the team.",
		fmt.Sprintf("%s\nJudge revision %d:\n%s", order.Topic, order.Revision, order.Text), true)
	if err != nil {
		return nil, err
	}
	var score float64
	if _, err := fmt.Sscanf(verdict, "SCORE %f", &score); err != nil {
		return nil, fmt.Errorf("read the verdict %q: %w", verdict, err)
	}
	agent.Quality(score)
	t.log.InfoContext(ctx, "judged", "score", score)
	return Answer{Text: verdict, Score: score, Metrics: metrics}, nil
}

func (t *Team) editor(ctx context.Context, m mindbus.Message) (payload any, err error) {
	ctx, agent := sdk.StartAgent(ctx, "editor")
	defer agent.End(&err)
	var order Order
	if err := m.Decode(&order); err != nil {
		return nil, err
	}
	text, metrics, err := t.ask(ctx, "gpt-4o-mini", "You are the editor of the team.", order.Topic+"\n"+order.Text, false)
	if err != nil {
		return nil, err
	}
	key := folderOf(ctx) + "/article.md"
	if _, err := t.artifacts.Save(ctx, key, []byte(text), "text/markdown"); err != nil {
		return nil, err
	}
	if err := t.record(ctx, "editor", "article"); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "article finished", "key", key)
	return Answer{Key: key, Metrics: metrics}, nil
}

// folderOf is the task's folder among the artifacts; a task's id may hold anything, a key should not.
func folderOf(ctx context.Context) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, sdk.TaskID(ctx))
}
