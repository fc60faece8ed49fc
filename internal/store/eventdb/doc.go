// Package eventdb keeps spans, log records and payloads in a folder, in the VictoriaLogs engine that runs inside this
// process. It implements store.Events and is the only package that touches the engine: its flags, its logger, its
// panics.
//
// # The way of a row
//
//	Write:  check (time, size, repeat) → encode (row → columns) → split payloads → log → engine → Observer
//	Replace: rows to a file → stored ones out of engine and log → encode, log, engine, for nobody's news (replace.go)
//	Select: filter tree → engine query → decode (columns → row) → join payloads → finish the filter in Go → newest revision
//
// # Durability
//
// Write returns when its rows are in the write-ahead log and the log is synced (wal.go); many writers share one sync. Rows
// wait up to a second for others that fill a block of the engine with them (gather.go). The
// engine has the rows in memory then and writes them to files 1 to 11 seconds later, Close at once. A checkpoint
// (checkpoint.go) cuts the log to what the engine's files lack; Open replays the rest (replay.go), asking the engine
// which of the rows it has. Rows are visible to readers about a second after Write (see Stats.VisibleWithin), after
// Flush at once.
//
// A log that can't be written (full, read-only or failing disk) is an error to senders that tells them to send again;
// readers go on. The end of a log that a crash cut short is cut off; a damaged place within it is leapt over, named in the log
// of the program and counted.
//
// # Crash-only
//
// What can be checked beforehand (missing permissions, a read-only or foreign folder) comes back as an error of Open.
// After that the engine ends the process when a disk operation of its own fails, by its design: it has no half-broken state,
// and the next start replays the log.
//
// # Exactness
//
// The engine keeps texts, and keeps some of them in a shorter form that reads back differently ("1.10" as 1.1). The
// package keeps whatever would not come back byte for byte a second time, in the column of special values; see
// docs/format/eventdb.md for everything that is on disk.
package eventdb
