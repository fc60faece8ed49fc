package client

import (
	"encoding/json"
	"time"
)

// The answers, as far as the command line prints them. The API's description (docs/openapi.yaml) has all of it.

// TaskPage is a page of a list of tasks.
type TaskPage struct {
	Tasks []Task `json:"tasks"`
	Next  string `json:"next"`
}

// Task is a task, with its tree when it was asked for alone.
type Task struct {
	ID          string    `json:"id"`
	Team        string    `json:"team"`
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	Provisional bool      `json:"provisional"`
	Start       time.Time `json:"start"`
	DurationNs  int64     `json:"duration_ns"`
	Cause       *Cause    `json:"cause"`
	Tokens      Tokens    `json:"tokens"`
	Cost        *Cost     `json:"cost"`
	Quality     *float64  `json:"quality"`
	Attempts    int       `json:"attempts"`
	Tree        []*Node   `json:"tree"`
	OtherLogs   int       `json:"other_log_lines"`
	Cut         bool      `json:"cut"`
	Partial     bool      `json:"partial"`
}

// Cause says where and why a task failed.
type Cause struct {
	Agent string `json:"agent"`
	Error string `json:"error"`
}

// Tokens are disjoint buckets of tokens.
type Tokens struct {
	Input      int64 `json:"input"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	Output     int64 `json:"output"`
	Reasoning  int64 `json:"reasoning"`
	Total      int64 `json:"total"`
}

// Cost is exact money and the number of calls it leaves out.
type Cost struct {
	USD      string `json:"usd"`
	Unpriced int    `json:"unpriced_calls"`
}

// Node is a span in the tree of a task.
type Node struct {
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`
	Service    string    `json:"service"`
	Agent      string    `json:"agent"`
	Operation  string    `json:"operation"`
	Start      time.Time `json:"start"`
	DurationNs int64     `json:"duration_ns"`
	Status     string    `json:"status"`
	Error      string    `json:"error"`
	Running    bool      `json:"running"`
	Orphan     bool      `json:"orphan"`
	Tokens     *Tokens   `json:"tokens"`
	USD        string    `json:"usd"`
	Quality    *float64  `json:"quality"`
	Message    *struct {
		WaitMs float64 `json:"wait_ms"`
	} `json:"message"`
	Artifact *struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
	} `json:"artifact"`
	LogLines int     `json:"log_lines"`
	Children []*Node `json:"children"`
}

// LogPage is a page of log records.
type LogPage struct {
	Logs []Log  `json:"logs"`
	Next string `json:"next"`
}

// Log is a log record; its fields are in the store's names.
type Log struct {
	Time   time.Time                  `json:"time"`
	Fields map[string]json.RawMessage `json:"fields"`
}

// Text returns a field as text: strings without quotes, all else as JSON, "" when absent.
func (l Log) Text(field string) string {
	raw, ok := l.Fields[field]
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
