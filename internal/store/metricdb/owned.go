package metricdb

import (
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
)

// ownedByServer tells whether the server always counts the series of this name itself, so that one that a sender
// brings would count the same thing twice (domain.md: Who produces them).
func ownedByServer(series string) bool {
	// Almost no series is one of the team's, and this is asked for each sample.
	if !strings.HasPrefix(series, "ai_team_") {
		return false
	}
	for _, m := range conv.Metrics() {
		if !m.ServerOnly {
			continue
		}
		if series == m.Prom || strings.HasPrefix(series, m.Prom+"_") {
			return true
		}
	}
	return false
}
