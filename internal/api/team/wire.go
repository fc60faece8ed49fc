package team

import (
	"encoding/json"
	"time"

	query "github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/store"
)

// Tokens are disjoint buckets of tokens and their sum.
type Tokens struct {
	Input      int64 `json:"input" doc:"Uncached input tokens."`
	CacheRead  int64 `json:"cache_read" doc:"Input tokens read from a cache."`
	CacheWrite int64 `json:"cache_write" doc:"Input tokens written to a cache."`
	Output     int64 `json:"output" doc:"Visible output tokens."`
	Reasoning  int64 `json:"reasoning" doc:"Output tokens spent on reasoning."`
	Total      int64 `json:"total"`
}

// Cost is exact money and what it leaves out.
type Cost struct {
	USD      string `json:"usd" doc:"Exact decimal number of US dollars."`
	Unpriced int    `json:"unpriced_calls" doc:"Calls whose price is not known; they are not part of usd."`
}

// Cause says where and why a task failed.
type Cause struct {
	Agent     string `json:"agent,omitempty"`
	Error     string `json:"error,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	SpanID    string `json:"span_id,omitempty"`
}

// Task is a task in a list.
type Task struct {
	ID          string    `json:"id"`
	Team        string    `json:"team"`
	Type        string    `json:"type,omitempty"`
	Status      string    `json:"status" enum:"running,completed,failed,cancelled,lost"`
	Provisional bool      `json:"provisional,omitempty" doc:"The sender named no task; the id is the trace's."`
	Start       time.Time `json:"start"`
	DurationNs  int64     `json:"duration_ns"`
	IdleNs      int64     `json:"idle_ns,omitempty" doc:"Time in which no attempt ran."`
	Cause       *Cause    `json:"cause,omitempty"`
	Tokens      Tokens    `json:"tokens"`
	Cost        *Cost     `json:"cost,omitempty" doc:"Absent when no call has a known price."`
	LLMCalls    int       `json:"llm_calls"`
	Quality     *float64  `json:"quality,omitempty"`
	Agents      []Agent   `json:"agents"`
	Tools       []Tool    `json:"tools" doc:"Calls of tools; handoffs between agents are none."`
	Usage       []Usage   `json:"usage" doc:"What was counted, by operation and model; the lines add up to tokens and cost."`
	Models      []string  `json:"models" doc:"All models that its spans name."`
	Traces      []string  `json:"traces"`
	Spans       int       `json:"spans"`
	Errors      int       `json:"errors" doc:"Spans with an error."`
	Attempts    int       `json:"attempts"`
	Hops        Hops      `json:"hops"`
	Cut         bool      `json:"cut,omitempty" doc:"The task has more spans than are read; sums and tree hold the first ones."`
}

// Agent is what one agent did in a task.
type Agent struct {
	Name       string   `json:"name"`
	Calls      int      `json:"calls"`
	LLMCalls   int      `json:"llm_calls"`
	Errors     int      `json:"errors"`
	DurationNs int64    `json:"duration_ns"`
	Tokens     Tokens   `json:"tokens"`
	USD        string   `json:"usd,omitempty"`
	Quality    *float64 `json:"quality,omitempty"`
}

// Tool is what became of one tool's calls in a task.
type Tool struct {
	Name   string `json:"name"`
	Calls  int    `json:"calls"`
	Errors int    `json:"errors"`
}

// Usage is what the counted spans of one operation and model used.
type Usage struct {
	Operation string `json:"operation" doc:"Not an inference where an agent reported tokens and none of its calls was seen."`
	Model     string `json:"model,omitempty"`
	Spans     int    `json:"spans"`
	Unknown   int    `json:"unknown,omitempty" doc:"Spans that reported no tokens: what they used is not known."`
	Tokens    Tokens `json:"tokens"`
	USD       string `json:"usd,omitempty"`
}

// Hops counts what was found of each kind of hop.
type Hops struct {
	Messages  int `json:"messages"`
	LLMCalls  int `json:"llm_calls"`
	Records   int `json:"records"`
	Artifacts int `json:"artifacts"`
	LogLines  int `json:"log_lines" doc:"In lists always 0: the lines are counted for a single task."`
}

// Node is a span in the tree of a task.
type Node struct {
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	ParentID   string    `json:"parent_span_id,omitempty"`
	Name       string    `json:"name"`
	Kind       string    `json:"kind,omitempty"`
	Service    string    `json:"service,omitempty"`
	Agent      string    `json:"agent,omitempty"`
	Operation  string    `json:"operation,omitempty"`
	Tool       string    `json:"tool,omitempty"`
	Model      string    `json:"model,omitempty"`
	Start      time.Time `json:"start"`
	DurationNs int64     `json:"duration_ns"`
	Status     string    `json:"status"`
	Error      string    `json:"error,omitempty"`
	ErrorType  string    `json:"error_type,omitempty"`
	Running    bool      `json:"running,omitempty"`
	Orphan     bool      `json:"orphan,omitempty" doc:"The parent was not found."`
	Deep       bool      `json:"deep,omitempty" doc:"The span hangs deeper than a tree can show; it stands beside its parent."`
	Tokens     *Tokens   `json:"tokens,omitempty"`
	USD        string    `json:"usd,omitempty"`
	Quality    *float64  `json:"quality,omitempty"`
	Message    *Message  `json:"message,omitempty"`
	Record     string    `json:"record_table,omitempty"`
	Artifact   *Artifact `json:"artifact,omitempty"`
	LogLines   int       `json:"log_lines,omitempty" doc:"Log records written in the span; a task, an agent, a receiver and a top span have those of the spans below."`
	Children   []*Node   `json:"children,omitempty"`
}

// Message is the bus's part of a span.
type Message struct {
	Destination string  `json:"destination,omitempty"`
	Type        string  `json:"type,omitempty"`
	From        string  `json:"from,omitempty"`
	To          string  `json:"to,omitempty"`
	WaitMs      float64 `json:"wait_ms,omitempty"`
}

// Artifact is the object's part of a span.
type Artifact struct {
	Key       string `json:"key"`
	Digest    string `json:"digest,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	URI       string `json:"uri,omitempty"`
	Size      int64  `json:"size"`
}

// Row is a stored span or log record.
type Row struct {
	Kind   string                     `json:"kind"`
	ID     string                     `json:"id"`
	Time   time.Time                  `json:"time"`
	TimeNs int64                      `json:"time_unix_nano"`
	Fields map[string]json.RawMessage `json:"fields" doc:"Intrinsics and columns by name, attributes behind attr., resource.attr. and scope.attr."`
}

// Span is a stored span.
type Span struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	Row
}

// Party is a conversation or a user.
type Party struct {
	ID     string `json:"id"`
	Tasks  int    `json:"tasks"`
	Spans  int    `json:"spans"`
	Tokens Tokens `json:"tokens"`
}

func wireTokens(t query.Tokens) Tokens {
	return Tokens{t.Input, t.CacheRead, t.CacheWrite, t.Output, t.Reasoning, t.Total()}
}

func wireTask(s query.Summary) Task {
	t := Task{
		ID: s.ID, Team: s.Team, Type: s.Type, Status: s.Status, Provisional: s.Provisional,
		Start: timeOf(s.Start), DurationNs: s.Duration, IdleNs: s.Idle,
		Tokens: wireTokens(s.Tokens), LLMCalls: s.LLMCalls, Quality: s.Quality,
		Agents: []Agent{}, Tools: []Tool{}, Usage: []Usage{}, Models: []string{}, Traces: s.Traces,
		Spans: s.Spans, Errors: s.Errors, Attempts: s.Attempts, Hops: Hops(s.Hops), Cut: s.Cut,
	}
	if s.Cause != nil {
		c := Cause(*s.Cause)
		t.Cause = &c
	}
	priced := s.LLMCalls > s.Unpriced || s.Cost != 0
	if priced {
		t.Cost = &Cost{USD: s.Cost.String(), Unpriced: s.Unpriced}
	}
	t.Models = append(t.Models, s.Models...)
	for _, a := range s.Agents {
		agent := Agent{
			Name: a.Name, Calls: a.Calls, LLMCalls: a.LLMCalls, Errors: a.Errors, DurationNs: a.Duration,
			Tokens: wireTokens(a.Tokens), Quality: a.Quality,
		}
		if priced {
			agent.USD = a.Cost.String()
		}
		t.Agents = append(t.Agents, agent)
	}
	for _, tool := range s.Tools {
		t.Tools = append(t.Tools, Tool(tool))
	}
	for _, u := range s.Usage {
		line := Usage{Operation: u.Operation, Model: u.Model, Spans: u.Spans, Unknown: u.Unknown, Tokens: wireTokens(u.Tokens)}
		if u.Cost != 0 {
			line.USD = u.Cost.String()
		}
		t.Usage = append(t.Usage, line)
	}
	return t
}

func wireNode(n *query.Node) *Node {
	out := &Node{
		TraceID: n.TraceID, SpanID: n.SpanID, ParentID: n.ParentID, Name: n.Name, Kind: n.Kind, Service: n.Service,
		Agent: n.Agent, Operation: n.Operation, Tool: n.Tool, Model: n.Model,
		Start: timeOf(n.Start), DurationNs: n.Duration, Status: n.Status, Error: n.Error, ErrorType: n.ErrorType,
		Running: n.Running, Orphan: n.Orphan, Deep: n.Deep, Quality: n.Quality, Record: n.RecordTable, LogLines: n.LogLines,
	}
	if n.HasTokens {
		tokens := wireTokens(n.Tokens)
		out.Tokens = &tokens
	}
	if n.HasCost {
		out.USD = n.Cost.String()
	}
	if n.Message != nil {
		m := Message(*n.Message)
		out.Message = &m
	}
	if n.Artifact != nil {
		a := Artifact(*n.Artifact)
		out.Artifact = &a
	}
	for _, c := range n.Children {
		out.Children = append(out.Children, wireNode(c))
	}
	return out
}

func wireRow(r *store.Row) Row {
	out := Row{Kind: string(r.Kind), ID: r.ID, Time: timeOf(r.Time), TimeNs: r.Time, Fields: make(map[string]json.RawMessage, len(r.Fields))}
	for _, f := range r.Fields {
		out.Fields[f.Name] = f.Value.JSON()
	}
	return out
}
