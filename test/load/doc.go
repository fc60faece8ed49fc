// Package load makes telemetry of agents that never ran: any amount of it, the same for the same seed, and as hard to
// compress as what people and models write. The benchmarks and the fault tests send it.
//
// Two workloads are known. Article is a team of four agents that write an article: 21 spans a task, two short calls an
// agent. Loop is one coding agent whose 60 calls repeat a conversation that grows by a tool's result of about 2 kB each.
package load
