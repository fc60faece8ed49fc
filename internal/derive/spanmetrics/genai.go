package spanmetrics

import "github.com/mindscope/mindscope/internal/conv"

// genai counts a call under the names of OpenTelemetry's conventions, as a sender's own instrumentation would: for
// dashboards that were made for those. Input tokens include cached ones there, and output tokens reasoning.
func (m *Metrics) genai(project string, s *span, e exemplar) {
	requested := s.requestModel
	if requested == "" {
		requested = s.model
	}
	failure := ""
	if s.failed() {
		failure = s.errorOr()
	}
	m.observe(project, s.team, conv.PromGenAIClientOperationDurationSeconds, s.seconds(), e, s.operation, s.provider, requested, s.model, failure)
	if !s.hasTokens {
		return
	}
	t := s.tokens
	m.observe(project, s.team, conv.PromGenAIClientTokenUsage, float64(t[0]+t[1]+t[2]), e, s.operation, s.provider, requested, s.model, "input")
	m.observe(project, s.team, conv.PromGenAIClientTokenUsage, float64(t[3]+t[4]), e, s.operation, s.provider, requested, s.model, "output")
}
