// Package store holds the contracts of storage and nothing that stores: the row model, the filter, select and
// aggregate trees, the interface Events and its errors.
//
// Implementations live one folder below (memdb, eventdb); each passes the suite in storetest. Everything above
// (query, rule, api) speaks only these trees, so that an engine can be exchanged and every engine has an oracle.
//
// # Rows
//
// A row is a flat list of named, typed fields. Spans and log records become rows by SpanRow and LogRow and come back
// by Row.Span and Row.Log without loss: every attribute, type, event and link as it was sent.
//
// Names: intrinsics and canonical columns have fixed names (the Field constants); attributes keep their original
// name behind the prefix "attr.", resource attributes behind "resource.", scope attributes behind "scope.attr.".
//
// Canonical columns (team, task_id, agent, model, tokens …) are what the enrich steps found out. They travel in pdata
// as attributes named mindscope.* (see conv) and are no part of what comes back as the sender's attributes.
package store
