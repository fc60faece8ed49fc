// Package logql answers questions in LogQL, the language in which Grafana asks for logs, about the log records of a store.
//
// # The way of a query
//
//	Parse:  text → tokens (lexer.go) → tree (ast.go); the tree's String parses back to the same tree
//	plan:   what the store can do is asked of the store (push.go): labels, line filters, time, counts and bytes by label
//	run:    the rest of the pipeline row by row (pipeline.go and the files stage_*), then windows, vectors and operators
//	        step by step, so that memory holds one step and what its windows reach back to
//
// # What a record looks like
//
// mapping.go decides which fields of a row are labels of a stream, which are structured metadata and which text is the
// line. docs/logql.md says the same to users.
//
// # Limits
//
// Every query has a budget of bytes for all that it holds, of series and of steps. What goes over one is an error in
// words, marked signal.Permanent, that Grafana shows.
package logql
