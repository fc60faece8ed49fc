// Package eventdb keeps spans, log records and payloads in a folder, in the VictoriaLogs engine that runs inside this
// process. It implements store.Events and is the only package that touches the engine: its flags, its logger, its
// panics.
//
// # The way of a row
//
//	Write:  check (time, size, repeat) → encode (row → columns) → split payloads → log → engine → Observer
//	Select: filter tree → engine query → decode (columns → row) → join payloads → finish the filter in Go → newest revision
//
// # Durability
//
// Write returns when the engine has the rows in memory; it writes them to disk 1 to 11 seconds later, Close at once.
// Rows are visible to readers about a second after Write (see Stats.VisibleWithin), after Flush at once.
//
// # Crash-only
//
// What can be checked beforehand (missing permissions, a read-only or foreign folder) comes back as an error of Open.
// After that the engine ends the process when a disk operation fails, by its design: it has no half-broken state, and
// the next start finds the last consistent one.
//
// # Exactness
//
// The engine keeps texts, and keeps some of them in a shorter form that reads back differently ("1.10" as 1.1). The
// package keeps whatever would not come back byte for byte a second time, in the column of special values; see
// docs/format/eventdb.md for everything that is on disk.
package eventdb
