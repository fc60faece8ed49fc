package team

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mindscope/mindscope/internal/query/messages"
	query "github.com/mindscope/mindscope/internal/query/team"
)

// Exchange is what went into a call and what came out of it.
type Exchange struct {
	Input   []ChatMessage `json:"input"`
	Output  []ChatMessage `json:"output"`
	Expired bool          `json:"expired,omitempty" doc:"Content is past its retention and can't be shown any more."`
}

// ChatMessage is one message to or from a model or tool.
type ChatMessage struct {
	Role   string        `json:"role,omitempty" doc:"system, user, assistant, tool, or the sender's own word."`
	Name   string        `json:"name,omitempty"`
	Parts  []MessagePart `json:"parts"`
	Finish string        `json:"finish_reason,omitempty"`
}

// MessagePart is one piece of a message.
type MessagePart struct {
	Type   string          `json:"type" enum:"text,reasoning,tool_call,tool_result,media,raw" doc:"raw: content of a shape that is not known, as it came."`
	Text   string          `json:"text,omitempty"`
	ID     string          `json:"id,omitempty" doc:"A tool call's id, the same on its result."`
	Tool   string          `json:"tool,omitempty"`
	Value  json.RawMessage `json:"value,omitempty" doc:"A tool call's arguments or result as it came: JSON, or a text."`
	Source *MediaSource    `json:"media,omitempty"`
}

// MediaSource says where media are; their bytes are never part of an answer.
type MediaSource struct {
	Modality  string `json:"modality,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	URI       string `json:"uri,omitempty"`
	File      string `json:"file_id,omitempty"`
	Bytes     int    `json:"bytes,omitempty" doc:"Size of content that was sent along."`
}

// ConversationTurn is one call of a model in a conversation.
type ConversationTurn struct {
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	Task       string    `json:"task,omitempty"`
	Agent      string    `json:"agent,omitempty"`
	Model      string    `json:"model,omitempty"`
	Operation  string    `json:"operation,omitempty"`
	Start      time.Time `json:"start"`
	DurationNs int64     `json:"duration_ns"`
	Tokens     *Tokens   `json:"tokens,omitempty"`
	Repeated   int       `json:"repeated,omitempty" doc:"Input messages left out: the turns before show them."`
	Exchange
}

type spanMessagesInput struct {
	ProjectInput
	ID   string `path:"id" doc:"The trace's id, 32 hex digits."`
	Span string `path:"span" doc:"The span's id, 16 hex digits."`
}

type spanMessagesOutput struct{ Body Exchange }

func (a *API) spanMessages(ctx context.Context, in *spanMessagesInput) (*spanMessagesOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	turn, err := a.questions.SpanTurn(ctx, project, in.ID, in.Span)
	if err != nil {
		return nil, err
	}
	return &spanMessagesOutput{Body: wireExchange(said(turn))}, nil
}

type conversationInput struct {
	ProjectInput
	PageInput
	ID   string `path:"id" doc:"The conversation's id; escape '/' as %2F."`
	Text string `query:"text" doc:"Only turns in which this text was said, in any case of letters."`
	All  bool   `query:"all" doc:"With every message that a call was given, those of the turns before too."`
}

type conversationOutput struct {
	Body struct {
		Turns   []ConversationTurn `json:"turns"`
		Next    string             `json:"next,omitempty"`
		Cut     bool               `json:"cut,omitempty" doc:"The conversation is longer than what is looked at."`
		Partial bool               `json:"partial,omitempty"`
	}
}

func (a *API) conversation(ctx context.Context, in *conversationInput) (*conversationOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	page, err := a.questions.Conversation(ctx, project, in.ID, in.Page, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &conversationOutput{}
	out.Body.Turns = make([]ConversationTurn, 0, len(page.Turns))
	out.Body.Next, out.Body.Cut, out.Body.Partial = page.Next, page.Cut, page.Partial
	var history messages.History
	for _, turn := range page.Turns {
		e := said(turn)
		fresh, repeated := history.Next(e)
		if in.All {
			fresh, repeated = e, 0
		}
		if in.Text != "" && !fresh.Contains(in.Text) {
			continue
		}
		out.Body.Turns = append(out.Body.Turns, wireTurn(turn.Span, fresh, repeated))
	}
	return out, nil
}

// said returns what was said in a turn: on its own span, else on the spans around it, else in its log records. Each
// direction is looked for by itself.
func said(turn query.Turn) messages.Exchange {
	var e messages.Exchange
	for _, r := range turn.Spans {
		more := messages.Of(r)
		e.Expired = e.Expired || more.Expired
		if len(e.Input) == 0 {
			e.Input = more.Input
		}
		if len(e.Output) == 0 {
			e.Output = more.Output
		}
	}
	if !e.Empty() {
		return e
	}
	for _, r := range turn.Logs {
		more := messages.Of(r)
		e.Input = append(e.Input, more.Input...)
		e.Output = append(e.Output, more.Output...)
	}
	return e
}

func wireTurn(s query.Span, e messages.Exchange, repeated int) ConversationTurn {
	t := ConversationTurn{
		TraceID: s.TraceID, SpanID: s.SpanID, Agent: s.Agent, Model: s.Model, Operation: s.Operation,
		Start: timeOf(s.Start), DurationNs: s.Duration, Repeated: repeated, Exchange: wireExchange(e),
	}
	if !s.Provisional {
		t.Task = s.Task
	}
	if s.HasTokens {
		tokens := wireTokens(s.Tokens)
		t.Tokens = &tokens
	}
	return t
}

func wireExchange(e messages.Exchange) Exchange {
	return Exchange{Input: wireMessages(e.Input), Output: wireMessages(e.Output), Expired: e.Expired}
}

func wireMessages(list []messages.Message) []ChatMessage {
	out := make([]ChatMessage, 0, len(list))
	for _, m := range list {
		w := ChatMessage{Role: m.Role, Name: m.Name, Finish: m.Finish, Parts: []MessagePart{}}
		for _, p := range m.Parts {
			part := MessagePart{Type: p.Kind, Text: p.Text, ID: p.ID, Tool: p.Tool, Value: wireValue(p.Value)}
			if p.Media != nil {
				part.Source = &MediaSource{p.Media.Modality, p.Media.Type, p.Media.URI, p.Media.File, p.Media.Bytes}
			}
			w.Parts = append(w.Parts, part)
		}
		out = append(out, w)
	}
	return out
}

// wireValue writes JSON as JSON and everything else as a text.
func wireValue(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	if (s[0] == '{' || s[0] == '[') && json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return text
}
