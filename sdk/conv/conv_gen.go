// Code generated from conv/registry.yaml by `make generate`. DO NOT EDIT.

// Package conv holds the names of attributes, events and metrics, generated from conv/registry.yaml.
package conv

// AI team attributes.
const (
	// AITeamTeam: The team, inside a project. Default: the resource's service.namespace, else `default`.
	AITeamTeam = "ai_team.team"
	// AITeamTaskID: The task's id, of any shape, as the team knows it. Carried as W3C baggage and copied to every span and log.
	AITeamTaskID = "ai_team.task.id"
	// AITeamTaskType: What kind of work the task is. Few values: it is a metric label.
	AITeamTaskType = "ai_team.task.type"
	// AITeamTaskStatus: The task's outcome: `completed`, `failed` or `cancelled`.
	AITeamTaskStatus = "ai_team.task.status"
	// AITeamUserID: Whom the task is done for. Carried as W3C baggage inside the team.
	AITeamUserID = "ai_team.user.id"
	// AITeamConversationID: The conversation the task belongs to, as baggage inside the team; spans carry gen_ai.conversation.id.
	AITeamConversationID = "ai_team.conversation.id"
	// AITeamQualityScore: A judge's score of the work, 0 to 10.
	AITeamQualityScore = "ai_team.quality_score"
	// AITeamMessageType: Type of a MindBus message: `COMMAND`, `RESULT`, `ERROR`, `EVENT`, `CONTROL`.
	AITeamMessageType = "ai_team.message.type"
	// AITeamMessageFromAgent: The agent that sent the message.
	AITeamMessageFromAgent = "ai_team.message.from_agent"
	// AITeamMessageToAgent: The agent the message is for.
	AITeamMessageToAgent = "ai_team.message.to_agent"
	// AITeamMessageWaitMs: Milliseconds between sending and the beginning of processing, by the two clocks.
	AITeamMessageWaitMs = "ai_team.message.wait_ms"
	// AITeamMessageRedelivered: The broker delivered the message before.
	AITeamMessageRedelivered = "ai_team.message.redelivered"
	// AITeamMessageRedeliveries: How often the message was handed out before and came back.
	AITeamMessageRedeliveries = "ai_team.message.redeliveries"
	// AITeamMessageAttempt: On the second and later attempts at a message that its agent failed at: which one it is.
	AITeamMessageAttempt = "ai_team.message.attempt"
	// AITeamMessageAnswer: What is wrong with an answer, as the bus tap sees it: `missing`, `late`, `duplicate` or `unmatched`.
	AITeamMessageAnswer = "ai_team.message.answer"
	// AITeamMessageClockSkewMs: Milliseconds by which the sender's clock is ahead, where that is minutes; the bus tap's own time is used then.
	AITeamMessageClockSkewMs = "ai_team.message.clock_skew_ms"
	// AITeamRecordTable: Table of a database record that carries the task's id.
	AITeamRecordTable = "ai_team.record.table"
	// AITeamRecordID: Primary key of the record.
	AITeamRecordID = "ai_team.record.id"
	// AITeamArtifactID: The artifact's id in the team's words.
	AITeamArtifactID = "ai_team.artifact.id"
	// AITeamArtifactKey: The object's key in its bucket.
	AITeamArtifactKey = "ai_team.artifact.key"
	// AITeamArtifactDigest: Digest of the content, `sha256:` and hex.
	AITeamArtifactDigest = "ai_team.artifact.digest"
	// AITeamArtifactMediaType: Media type of the content (RFC 6838).
	AITeamArtifactMediaType = "ai_team.artifact.media_type"
	// AITeamArtifactSize: Size of the content in bytes.
	AITeamArtifactSize = "ai_team.artifact.size"
	// AITeamArtifactURI: Where the object is.
	AITeamArtifactURI = "ai_team.artifact.uri"
	// AITeamSpanName: On start and heartbeat records: the name of the span that runs.
	AITeamSpanName = "ai_team.span.name"
	// AITeamSpanKind: On start records: the kind of the span that runs.
	AITeamSpanKind = "ai_team.span.kind"
	// AITeamSpanParentID: On start records: the parent's span id, 16 hex digits.
	AITeamSpanParentID = "ai_team.span.parent_id"
	// AITeamSpanStartTimeUnixNano: On start and heartbeat records: the span's start.
	AITeamSpanStartTimeUnixNano = "ai_team.span.start_time_unix_nano"
	// AITeamMetrics: Resource attribute: `sdk` when the sender emits the team's metrics itself, so that the server does not derive them.
	AITeamMetrics = "ai_team.metrics"
)

// Generative AI attributes.
const (
	// GenAIOperationName: `chat`, `generate_content`, `text_completion`, `embeddings`, `invoke_agent`, `execute_tool`, `invoke_workflow`, …
	GenAIOperationName = "gen_ai.operation.name"
	// GenAIProviderName: The provider, e.g. `openai`, `anthropic`, `gcp.gemini`.
	GenAIProviderName = "gen_ai.provider.name"
	// GenAIRequestModel: The model that was asked for.
	GenAIRequestModel = "gen_ai.request.model"
	// GenAIRequestMaxTokens: Limit of output tokens.
	GenAIRequestMaxTokens = "gen_ai.request.max_tokens"
	// GenAIRequestTemperature: Sampling temperature.
	GenAIRequestTemperature = "gen_ai.request.temperature"
	// GenAIRequestStream: Only when the answer was streamed.
	GenAIRequestStream = "gen_ai.request.stream"
	// GenAIResponseModel: The model that answered.
	GenAIResponseModel = "gen_ai.response.model"
	// GenAIResponseID: The provider's id of the answer.
	GenAIResponseID = "gen_ai.response.id"
	// GenAIResponseFinishReasons: Why generation stopped.
	GenAIResponseFinishReasons = "gen_ai.response.finish_reasons"
	// GenAIResponseTimeToFirstChunk: Seconds to the first chunk of a stream.
	GenAIResponseTimeToFirstChunk = "gen_ai.response.time_to_first_chunk"
	// GenAIUsageInputTokens: Input tokens, cached ones included.
	GenAIUsageInputTokens = "gen_ai.usage.input_tokens"
	// GenAIUsageOutputTokens: Output tokens, reasoning included.
	GenAIUsageOutputTokens = "gen_ai.usage.output_tokens"
	// GenAIUsageCacheReadInputTokens: Input tokens read from a cache.
	GenAIUsageCacheReadInputTokens = "gen_ai.usage.cache_read.input_tokens"
	// GenAIUsageCacheWriteInputTokens: Input tokens written to a cache.
	GenAIUsageCacheWriteInputTokens = "gen_ai.usage.cache_write.input_tokens"
	// GenAIUsageCacheCreationEphemeral1hInputTokens: The part of the input tokens written to a cache that stays for an hour, as Anthropic counts it.
	GenAIUsageCacheCreationEphemeral1hInputTokens = "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens"
	// GenAIUsageReasoningOutputTokens: Output tokens spent on reasoning.
	GenAIUsageReasoningOutputTokens = "gen_ai.usage.reasoning.output_tokens"
	// GenAIUsageCostAmount: What the provider itself says the call cost. It wins over the price book.
	GenAIUsageCostAmount = "gen_ai.usage.cost.amount"
	// GenAIUsageCostCurrency: Currency of the cost (ISO 4217).
	GenAIUsageCostCurrency = "gen_ai.usage.cost.currency"
	// GenAIInputMessages: Messages given to the model. Only when capture is on.
	GenAIInputMessages = "gen_ai.input.messages"
	// GenAIOutputMessages: Messages the model gave. Only when capture is on.
	GenAIOutputMessages = "gen_ai.output.messages"
	// GenAISystemInstructions: System prompt. Only when capture is on.
	GenAISystemInstructions = "gen_ai.system_instructions"
	// GenAIAgentName: The agent's name.
	GenAIAgentName = "gen_ai.agent.name"
	// GenAIAgentID: Stable id of a hosted agent.
	GenAIAgentID = "gen_ai.agent.id"
	// GenAIConversationID: The conversation or session.
	GenAIConversationID = "gen_ai.conversation.id"
	// GenAIWorkflowName: The workflow's name; for a task its type.
	GenAIWorkflowName = "gen_ai.workflow.name"
	// GenAIToolName: The tool's name.
	GenAIToolName = "gen_ai.tool.name"
	// GenAIToolType: `function`, `extension` or `datastore`.
	GenAIToolType = "gen_ai.tool.type"
	// GenAIToolCallID: The model's id of the call.
	GenAIToolCallID = "gen_ai.tool.call.id"
	// GenAIToolCallArguments: Arguments. Only when capture is on.
	GenAIToolCallArguments = "gen_ai.tool.call.arguments"
	// GenAIToolCallResult: Result. Only when capture is on.
	GenAIToolCallResult = "gen_ai.tool.call.result"
	// GenAIEvaluationName: What was evaluated.
	GenAIEvaluationName = "gen_ai.evaluation.name"
	// GenAIEvaluationScoreValue: The evaluation's score.
	GenAIEvaluationScoreValue = "gen_ai.evaluation.score.value"
)

// OpenTelemetry core attributes.
const (
	// ServiceName: Name of the service.
	ServiceName = "service.name"
	// ServiceNamespace: Namespace of the service; the default team.
	ServiceNamespace = "service.namespace"
	// ServiceInstanceID: Instance of the service.
	ServiceInstanceID = "service.instance.id"
	// ErrorType: Class of the error, few values.
	ErrorType = "error.type"
	// ExceptionType: Type of the exception.
	ExceptionType = "exception.type"
	// ExceptionMessage: The exception's message.
	ExceptionMessage = "exception.message"
	// ExceptionStacktrace: The stack.
	ExceptionStacktrace = "exception.stacktrace"
	// MessagingSystem: The messaging system.
	MessagingSystem = "messaging.system"
	// MessagingOperationName: `send`, `process`, …
	MessagingOperationName = "messaging.operation.name"
	// MessagingOperationType: `create`, `send`, `receive`, `process`, `settle`.
	MessagingOperationType = "messaging.operation.type"
	// MessagingDestinationName: Where the message goes.
	MessagingDestinationName = "messaging.destination.name"
	// MessagingDestinationTemplate: The destination with ids left out.
	MessagingDestinationTemplate = "messaging.destination.template"
	// MessagingMessageID: The message's id.
	MessagingMessageID = "messaging.message.id"
	// MessagingMessageConversationID: The correlation id.
	MessagingMessageConversationID = "messaging.message.conversation_id"
	// MessagingMessageBodySize: Size of the body in bytes.
	MessagingMessageBodySize = "messaging.message.body.size"
	// MessagingRabbitmqDestinationRoutingKey: The routing key.
	MessagingRabbitmqDestinationRoutingKey = "messaging.rabbitmq.destination.routing_key"
	// MessagingRabbitmqMessageDeliveryTag: The number of the delivery on its channel.
	MessagingRabbitmqMessageDeliveryTag = "messaging.rabbitmq.message.delivery_tag"
	// CloudeventsEventID: The event's id.
	CloudeventsEventID = "cloudevents.event_id"
	// CloudeventsEventSource: The event's source.
	CloudeventsEventSource = "cloudevents.event_source"
	// CloudeventsEventType: The event's type.
	CloudeventsEventType = "cloudevents.event_type"
	// CloudeventsEventSpecVersion: The version of CloudEvents.
	CloudeventsEventSpecVersion = "cloudevents.event_spec_version"
	// CloudeventsEventSubject: The event's subject: the task's id.
	CloudeventsEventSubject = "cloudevents.event_subject"
	// DBSystemName: The database.
	DBSystemName = "db.system.name"
	// DBQueryText: The parameterised query.
	DBQueryText = "db.query.text"
	// DBQuerySummary: Operation and target.
	DBQuerySummary = "db.query.summary"
	// DBOperationName: The operation.
	DBOperationName = "db.operation.name"
	// DBNamespace: The database's name.
	DBNamespace = "db.namespace"
	// DBCollectionName: The table.
	DBCollectionName = "db.collection.name"
	// ServerAddress: Host of the peer.
	ServerAddress = "server.address"
	// ServerPort: Port of the peer.
	ServerPort = "server.port"
	// HTTPResponseStatusCode: Status of the answer to an HTTP request.
	HTTPResponseStatusCode = "http.response.status_code"
	// HTTPRequestResendCount: How often the same request was sent before: the first attempt has none.
	HTTPRequestResendCount = "http.request.resend_count"
	// UserID: The user.
	UserID = "user.id"
	// SessionID: The session.
	SessionID = "session.id"
)

// Names of log events.
const (
	// EventAITeamSpanStarted: A task or agent span began. Superseded by the span of the same ids.
	EventAITeamSpanStarted = "ai_team.span.started"
	// EventAITeamSpanHeartbeat: The span still runs; every 10 s. Not stored.
	EventAITeamSpanHeartbeat = "ai_team.span.heartbeat"
	// EventAITeamSpanContent: The server's own: content of a span that was held back until its task failed. Refused from senders.
	EventAITeamSpanContent = "ai_team.span.content"
	// EventAITeamMessage: The bus tap's: an event, a control message, an error, or what is wrong with an answer.
	EventAITeamMessage = "ai_team.message"
	// EventAITeamMessageUnreadable: The bus tap's: bytes on the bus that are no message of the team.
	EventAITeamMessageUnreadable = "ai_team.message.unreadable"
	// EventGenAIEvaluationResult: A judge's verdict; its score is the quality of the span it is attached to.
	EventGenAIEvaluationResult = "gen_ai.evaluation.result"
)

// Names of metrics (OpenTelemetry).
const (
	// MetricAITeamTasks: Tasks by status: pending (accepted), completed, failed, cancelled.
	MetricAITeamTasks = "ai_team.tasks"
	// MetricAITeamLLMCalls: LLM calls.
	MetricAITeamLLMCalls = "ai_team.llm_calls"
	// MetricAITeamTaskDuration: Duration of tasks.
	MetricAITeamTaskDuration = "ai_team.task_duration"
	// MetricAITeamLLMLatency: Latency of LLM calls.
	MetricAITeamLLMLatency = "ai_team.llm_latency"
	// MetricAITeamTasksInProgress: Tasks that run now.
	MetricAITeamTasksInProgress = "ai_team.tasks_in_progress"
	// MetricAITeamQualityScore: Quality scores of tasks.
	MetricAITeamQualityScore = "ai_team.quality_score"
	// MetricAITeamLLMCostDollars: Cost of LLM calls in dollars. A trend: the exact figure is in the store.
	MetricAITeamLLMCostDollars = "ai_team.llm_cost_dollars"
	// MetricAITeamLLMTokens: Tokens by kind: input, cache_read, cache_write, output, reasoning; disjoint.
	MetricAITeamLLMTokens = "ai_team.llm_tokens"
	// MetricAITeamLLMErrors: Failed LLM calls.
	MetricAITeamLLMErrors = "ai_team.llm_errors"
	// MetricAITeamAgentCalls: Invocations of agents: completed, failed, cancelled.
	MetricAITeamAgentCalls = "ai_team.agent_calls"
	// MetricAITeamAgentDuration: Duration of agents' invocations.
	MetricAITeamAgentDuration = "ai_team.agent_duration"
	// MetricAITeamAgentQualityScore: Quality scores of agents' work.
	MetricAITeamAgentQualityScore = "ai_team.agent_quality_score"
	// MetricAITeamAgentCostDollars: Cost of an agent's LLM calls in dollars.
	MetricAITeamAgentCostDollars = "ai_team.agent_cost_dollars"
	// MetricAITeamMessages: Messages on MindBus.
	MetricAITeamMessages = "ai_team.messages"
	// MetricAITeamMessageWait: Time messages wait before they are processed.
	MetricAITeamMessageWait = "ai_team.message_wait"
	// MetricAITeamArtifacts: Artifacts stored.
	MetricAITeamArtifacts = "ai_team.artifacts"
	// MetricAITeamRecords: Database records written.
	MetricAITeamRecords = "ai_team.records"
	// MetricAITeamHopsMissing: Findings of the ledger, once each a task: hops where a task's id or trace was lost. hop is message, llm, record, artifact, log or span.
	MetricAITeamHopsMissing = "ai_team.hops_missing"
	// MetricAITeamTasksStuck: Tasks that run three times as long as is usual for their type and show no new span.
	MetricAITeamTasksStuck = "ai_team.tasks_stuck"
	// MetricAITeamOldestTask: Age of the oldest task that runs.
	MetricAITeamOldestTask = "ai_team.oldest_task"
	// MetricAITeamPriceMisses: LLM calls without a known price or usage.
	MetricAITeamPriceMisses = "ai_team.price_misses"
	// MetricAITeamBudgetUsedRatio: Part of a budget that is spent in its period; 1 is all of it. team `*` is all teams together.
	MetricAITeamBudgetUsedRatio = "ai_team.budget.used_ratio"
	// MetricAITeamBudgetLimitDollars: What a budget allows in its period.
	MetricAITeamBudgetLimitDollars = "ai_team.budget.limit_dollars"
	// MetricAITeamBudgetSpentDollars: What was spent of a budget in its period, read from the store.
	MetricAITeamBudgetSpentDollars = "ai_team.budget.spent_dollars"
	// MetricAITeamBudgetLimitTokens: Tokens that a budget allows in its period.
	MetricAITeamBudgetLimitTokens = "ai_team.budget.limit_tokens"
	// MetricAITeamBudgetSpentTokens: Tokens that were spent of a budget in its period, read from the store.
	MetricAITeamBudgetSpentTokens = "ai_team.budget.spent_tokens"
	// MetricAITeamBudgetUnpricedCalls: Calls in a budget's period whose price is not known, so that a budget in dollars can't see them.
	MetricAITeamBudgetUnpricedCalls = "ai_team.budget.unpriced_calls"
	// MetricGenAIClientOperationDuration: Duration of LLM calls.
	MetricGenAIClientOperationDuration = "gen_ai.client.operation.duration"
	// MetricGenAIClientTokenUsage: Tokens of LLM calls: input with cached ones, output with reasoning.
	MetricGenAIClientTokenUsage = "gen_ai.client.token.usage"
)

// Names of metrics as Prometheus exposes them.
const (
	// PromAITeamTasksTotal: Tasks by status: pending (accepted), completed, failed, cancelled.
	PromAITeamTasksTotal = "ai_team_tasks_total"
	// PromAITeamLLMCallsTotal: LLM calls.
	PromAITeamLLMCallsTotal = "ai_team_llm_calls_total"
	// PromAITeamTaskDurationSeconds: Duration of tasks.
	PromAITeamTaskDurationSeconds = "ai_team_task_duration_seconds"
	// PromAITeamLLMLatencySeconds: Latency of LLM calls.
	PromAITeamLLMLatencySeconds = "ai_team_llm_latency_seconds"
	// PromAITeamTasksInProgress: Tasks that run now.
	PromAITeamTasksInProgress = "ai_team_tasks_in_progress"
	// PromAITeamQualityScore: Quality scores of tasks.
	PromAITeamQualityScore = "ai_team_quality_score"
	// PromAITeamLLMCostDollarsTotal: Cost of LLM calls in dollars. A trend: the exact figure is in the store.
	PromAITeamLLMCostDollarsTotal = "ai_team_llm_cost_dollars_total"
	// PromAITeamLLMTokensTotal: Tokens by kind: input, cache_read, cache_write, output, reasoning; disjoint.
	PromAITeamLLMTokensTotal = "ai_team_llm_tokens_total"
	// PromAITeamLLMErrorsTotal: Failed LLM calls.
	PromAITeamLLMErrorsTotal = "ai_team_llm_errors_total"
	// PromAITeamAgentCallsTotal: Invocations of agents: completed, failed, cancelled.
	PromAITeamAgentCallsTotal = "ai_team_agent_calls_total"
	// PromAITeamAgentDurationSeconds: Duration of agents' invocations.
	PromAITeamAgentDurationSeconds = "ai_team_agent_duration_seconds"
	// PromAITeamAgentQualityScore: Quality scores of agents' work.
	PromAITeamAgentQualityScore = "ai_team_agent_quality_score"
	// PromAITeamAgentCostDollarsTotal: Cost of an agent's LLM calls in dollars.
	PromAITeamAgentCostDollarsTotal = "ai_team_agent_cost_dollars_total"
	// PromAITeamMessagesTotal: Messages on MindBus.
	PromAITeamMessagesTotal = "ai_team_messages_total"
	// PromAITeamMessageWaitSeconds: Time messages wait before they are processed.
	PromAITeamMessageWaitSeconds = "ai_team_message_wait_seconds"
	// PromAITeamArtifactsTotal: Artifacts stored.
	PromAITeamArtifactsTotal = "ai_team_artifacts_total"
	// PromAITeamRecordsTotal: Database records written.
	PromAITeamRecordsTotal = "ai_team_records_total"
	// PromAITeamHopsMissingTotal: Findings of the ledger, once each a task: hops where a task's id or trace was lost. hop is message, llm, record, artifact, log or span.
	PromAITeamHopsMissingTotal = "ai_team_hops_missing_total"
	// PromAITeamTasksStuck: Tasks that run three times as long as is usual for their type and show no new span.
	PromAITeamTasksStuck = "ai_team_tasks_stuck"
	// PromAITeamOldestTaskSeconds: Age of the oldest task that runs.
	PromAITeamOldestTaskSeconds = "ai_team_oldest_task_seconds"
	// PromAITeamPriceMissesTotal: LLM calls without a known price or usage.
	PromAITeamPriceMissesTotal = "ai_team_price_misses_total"
	// PromAITeamBudgetUsedRatio: Part of a budget that is spent in its period; 1 is all of it. team `*` is all teams together.
	PromAITeamBudgetUsedRatio = "ai_team_budget_used_ratio"
	// PromAITeamBudgetLimitDollars: What a budget allows in its period.
	PromAITeamBudgetLimitDollars = "ai_team_budget_limit_dollars"
	// PromAITeamBudgetSpentDollars: What was spent of a budget in its period, read from the store.
	PromAITeamBudgetSpentDollars = "ai_team_budget_spent_dollars"
	// PromAITeamBudgetLimitTokens: Tokens that a budget allows in its period.
	PromAITeamBudgetLimitTokens = "ai_team_budget_limit_tokens"
	// PromAITeamBudgetSpentTokens: Tokens that were spent of a budget in its period, read from the store.
	PromAITeamBudgetSpentTokens = "ai_team_budget_spent_tokens"
	// PromAITeamBudgetUnpricedCalls: Calls in a budget's period whose price is not known, so that a budget in dollars can't see them.
	PromAITeamBudgetUnpricedCalls = "ai_team_budget_unpriced_calls"
	// PromGenAIClientOperationDurationSeconds: Duration of LLM calls.
	PromGenAIClientOperationDurationSeconds = "gen_ai_client_operation_duration_seconds"
	// PromGenAIClientTokenUsage: Tokens of LLM calls: input with cached ones, output with reasoning.
	PromGenAIClientTokenUsage = "gen_ai_client_token_usage"
)

// DurationBuckets returns the upper bounds of the duration histograms.
func DurationBuckets() []float64 {
	return []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}
}

// OperationBuckets returns the upper bounds of the operation histograms.
func OperationBuckets() []float64 {
	return []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

// QualityBuckets returns the upper bounds of the quality histograms.
func QualityBuckets() []float64 {
	return []float64{0, 2, 4, 6, 8, 10}
}

// TokensBuckets returns the upper bounds of the tokens histograms.
func TokensBuckets() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}

// Metric describes one metric of the registry.
type Metric struct {
	Name, Prom, Instrument, Unit, Brief string
	Labels                              []string
	Buckets                             []float64
	// Mission: one of the seven of the mission.
	Mission bool
	// ServerOnly: derived by the server for every sender, also for one that emits metrics itself.
	ServerOnly bool
	// NoSDK: the SDK can't know it, or leaves it to others.
	NoSDK bool
}

// Metrics returns the registry's metrics in its order.
func Metrics() []Metric {
	return []Metric{
		{Name: MetricAITeamTasks, Prom: PromAITeamTasksTotal, Instrument: "counter", Unit: "{task}", Brief: "Tasks by status: pending (accepted), completed, failed, cancelled.", Labels: []string{"status"}, Buckets: nil, Mission: true, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamLLMCalls, Prom: PromAITeamLLMCallsTotal, Instrument: "counter", Unit: "{call}", Brief: "LLM calls.", Labels: []string{"model", "agent"}, Buckets: nil, Mission: true, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamTaskDuration, Prom: PromAITeamTaskDurationSeconds, Instrument: "histogram", Unit: "s", Brief: "Duration of tasks.", Labels: []string{"task_type"}, Buckets: DurationBuckets(), Mission: true, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamLLMLatency, Prom: PromAITeamLLMLatencySeconds, Instrument: "histogram", Unit: "s", Brief: "Latency of LLM calls.", Labels: []string{"model"}, Buckets: DurationBuckets(), Mission: true, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamTasksInProgress, Prom: PromAITeamTasksInProgress, Instrument: "gauge", Unit: "", Brief: "Tasks that run now.", Labels: []string{}, Buckets: nil, Mission: true, ServerOnly: true, NoSDK: false},
		{Name: MetricAITeamQualityScore, Prom: PromAITeamQualityScore, Instrument: "histogram", Unit: "", Brief: "Quality scores of tasks.", Labels: []string{}, Buckets: QualityBuckets(), Mission: true, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamLLMCostDollars, Prom: PromAITeamLLMCostDollarsTotal, Instrument: "counter", Unit: "{USD}", Brief: "Cost of LLM calls in dollars. A trend: the exact figure is in the store.", Labels: []string{"model"}, Buckets: nil, Mission: true, ServerOnly: true, NoSDK: false},
		{Name: MetricAITeamLLMTokens, Prom: PromAITeamLLMTokensTotal, Instrument: "counter", Unit: "", Brief: "Tokens by kind: input, cache_read, cache_write, output, reasoning; disjoint.", Labels: []string{"model", "agent", "token_type"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamLLMErrors, Prom: PromAITeamLLMErrorsTotal, Instrument: "counter", Unit: "", Brief: "Failed LLM calls.", Labels: []string{"model", "agent", "error_type"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamAgentCalls, Prom: PromAITeamAgentCallsTotal, Instrument: "counter", Unit: "{call}", Brief: "Invocations of agents: completed, failed, cancelled.", Labels: []string{"agent", "status"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamAgentDuration, Prom: PromAITeamAgentDurationSeconds, Instrument: "histogram", Unit: "s", Brief: "Duration of agents' invocations.", Labels: []string{"agent"}, Buckets: DurationBuckets(), Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamAgentQualityScore, Prom: PromAITeamAgentQualityScore, Instrument: "histogram", Unit: "", Brief: "Quality scores of agents' work.", Labels: []string{"agent"}, Buckets: QualityBuckets(), Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamAgentCostDollars, Prom: PromAITeamAgentCostDollarsTotal, Instrument: "counter", Unit: "{USD}", Brief: "Cost of an agent's LLM calls in dollars.", Labels: []string{"agent"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: false},
		{Name: MetricAITeamMessages, Prom: PromAITeamMessagesTotal, Instrument: "counter", Unit: "", Brief: "Messages on MindBus.", Labels: []string{"from_agent", "to_agent", "type"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamMessageWait, Prom: PromAITeamMessageWaitSeconds, Instrument: "histogram", Unit: "s", Brief: "Time messages wait before they are processed.", Labels: []string{"to_agent"}, Buckets: DurationBuckets(), Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamArtifacts, Prom: PromAITeamArtifactsTotal, Instrument: "counter", Unit: "", Brief: "Artifacts stored.", Labels: []string{"agent"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamRecords, Prom: PromAITeamRecordsTotal, Instrument: "counter", Unit: "", Brief: "Database records written.", Labels: []string{"agent"}, Buckets: nil, Mission: false, ServerOnly: false, NoSDK: false},
		{Name: MetricAITeamHopsMissing, Prom: PromAITeamHopsMissingTotal, Instrument: "counter", Unit: "", Brief: "Findings of the ledger, once each a task: hops where a task's id or trace was lost. hop is message, llm, record, artifact, log or span.", Labels: []string{"hop"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamTasksStuck, Prom: PromAITeamTasksStuck, Instrument: "gauge", Unit: "", Brief: "Tasks that run three times as long as is usual for their type and show no new span.", Labels: []string{}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamOldestTask, Prom: PromAITeamOldestTaskSeconds, Instrument: "gauge", Unit: "s", Brief: "Age of the oldest task that runs.", Labels: []string{}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamPriceMisses, Prom: PromAITeamPriceMissesTotal, Instrument: "counter", Unit: "", Brief: "LLM calls without a known price or usage.", Labels: []string{"model"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetUsedRatio, Prom: PromAITeamBudgetUsedRatio, Instrument: "gauge", Unit: "", Brief: "Part of a budget that is spent in its period; 1 is all of it. team `*` is all teams together.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetLimitDollars, Prom: PromAITeamBudgetLimitDollars, Instrument: "gauge", Unit: "", Brief: "What a budget allows in its period.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetSpentDollars, Prom: PromAITeamBudgetSpentDollars, Instrument: "gauge", Unit: "", Brief: "What was spent of a budget in its period, read from the store.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetLimitTokens, Prom: PromAITeamBudgetLimitTokens, Instrument: "gauge", Unit: "", Brief: "Tokens that a budget allows in its period.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetSpentTokens, Prom: PromAITeamBudgetSpentTokens, Instrument: "gauge", Unit: "", Brief: "Tokens that were spent of a budget in its period, read from the store.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricAITeamBudgetUnpricedCalls, Prom: PromAITeamBudgetUnpricedCalls, Instrument: "gauge", Unit: "", Brief: "Calls in a budget's period whose price is not known, so that a budget in dollars can't see them.", Labels: []string{"budget", "period", "agent", "model", "task_type"}, Buckets: nil, Mission: false, ServerOnly: true, NoSDK: true},
		{Name: MetricGenAIClientOperationDuration, Prom: PromGenAIClientOperationDurationSeconds, Instrument: "histogram", Unit: "s", Brief: "Duration of LLM calls.", Labels: []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model", "error_type"}, Buckets: OperationBuckets(), Mission: false, ServerOnly: false, NoSDK: true},
		{Name: MetricGenAIClientTokenUsage, Prom: PromGenAIClientTokenUsage, Instrument: "histogram", Unit: "", Brief: "Tokens of LLM calls: input with cached ones, output with reasoning.", Labels: []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model", "gen_ai_token_type"}, Buckets: TokensBuckets(), Mission: false, ServerOnly: false, NoSDK: true},
	}
}
