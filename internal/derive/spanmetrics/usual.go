package spanmetrics

import (
	"time"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/signal"
)

// Usual tells how long things take, by the histograms of what was counted so far. It is safe for concurrent use.
type Usual struct{ metrics *Metrics }

// Usual returns what tells how long things take.
func (m *Metrics) Usual() Usual { return Usual{m} }

// Task returns the 95th percentile of a type of task; false where fewer than five have ended.
func (u Usual) Task(p signal.Project, team, taskType string) (time.Duration, bool) {
	return u.of(p, team, conv.PromAITeamTaskDurationSeconds, taskType)
}

// Agent returns the same of an agent's invocations.
func (u Usual) Agent(p signal.Project, team, agent string) (time.Duration, bool) {
	return u.of(p, team, conv.PromAITeamAgentDurationSeconds, agent)
}

func (u Usual) of(p signal.Project, team, metric, value string) (time.Duration, bool) {
	u.metrics.mu.Lock()
	defer u.metrics.mu.Unlock()
	seconds, ok := u.metrics.usual(string(p), team, metric, value)
	return time.Duration(seconds * float64(time.Second)), ok
}

// enoughTasks is what a percentile needs.
const enoughTasks = 5

// usual is the 95th percentile of a histogram of seconds. The caller holds the lock.
func (m *Metrics) usual(p, team, metric, value string) (seconds float64, ok bool) {
	s, ok := m.vectors[metric].series[valid(p)+"\xff"+valid(team)+"\xff"+valid(value)+"\xff"]
	if !ok || s.Count < enoughTasks {
		return 0, false
	}
	return s.quantile(0.95), true
}
