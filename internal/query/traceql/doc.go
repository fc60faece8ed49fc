// Package traceql reads and answers TraceQL, the query language of Tempo's API, from a store of events.
//
// Parse makes a tree of a query; its String parses back to the same tree. Engine answers it: Search finds traces, Metrics
// makes series, Tags and Values list what can be asked for.
//
// What the store can filter it filters. A search reads candidates, newest first, by the part of the query that the store
// understands; of traces that may match it reads the spans with the fields the query looks at, and evaluates the query on
// whole traces. Metrics whose query the store understands entirely are aggregated by it.
//
// Each question counts the memory it holds, and ends with an error in words above a limit.
//
// docs/traceql.md says what is supported and where this differs from Tempo.
package traceql
