// Package sdk makes the work of a team of agents visible: tasks, agents, tools and LLM calls as OpenTelemetry spans
// that all carry the task's id.
//
//	ctx, task := sdk.StartTask(ctx, "task-456", sdk.TaskType("article"))
//	defer task.End(&err)
//
// The package imports OpenTelemetry's API only. Until telemetry.Setup (or any other OpenTelemetry SDK) is installed,
// every call is a no-op; no call ever returns an error of the telemetry, blocks on it or panics because of it.
//
// The task's id travels in the context, inside the process as a value and between processes as W3C baggage
// (ai_team.task.id, ai_team.task.type, ai_team.team, ai_team.user.id, ai_team.conversation.id).
//
// Everything here is safe for concurrent use, except that one span's setters must not be called after its End.
package sdk
