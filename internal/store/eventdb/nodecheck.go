package eventdb

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// minNodeFields is how many columns a node must take; beyond its own limit it drops rows with no more than a line in
// its log.
const minNodeFields = 2000

// nodeNeeds is what a storage node must be started with, so that it drops nothing that it acknowledges.
type nodeNeeds struct {
	retention, future time.Duration
}

// check reads the flags in a node's metrics and returns an error that names those that are too small.
func (n nodeNeeds) check(addr, metrics string) error {
	flags := nodeFlags(metrics)
	var bad []string
	if fields, err := strconv.Atoi(flags["insert.maxFieldsPerLine"]); err != nil || fields < minNodeFields {
		bad = append(bad, fmt.Sprintf("-insert.maxFieldsPerLine=%d", minNodeFields))
	}
	if flags["internaldelete.enable"] != "true" {
		bad = append(bad, "-internaldelete.enable")
	}
	for name, least := range map[string]time.Duration{"retentionPeriod": n.retention, "futureRetention": n.future} {
		if d, ok := nodeDuration(flags[name]); !ok || d < least {
			bad = append(bad, fmt.Sprintf("-%s=%dd", name, (least+day-1)/day))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	err := fmt.Errorf("storage node %s would drop rows without a word", addr)
	return signal.WithHint(err, "start it with "+strings.Join(bad, " ")+" (docs/storage-nodes.md)")
}

// nodeFlags returns the flags that a node's metrics list.
func nodeFlags(metrics string) map[string]string {
	flags := map[string]string{}
	for line := range strings.Lines(metrics) {
		rest, ok := strings.CutPrefix(line, `flag{name="`)
		if !ok {
			continue
		}
		name, rest, _ := strings.Cut(rest, `", value="`)
		flags[name], _, _ = strings.Cut(rest, `"`)
	}
	return flags
}

// nodeDuration reads a retention as nodes do: a number of months, or with one of the units h, d, w and y.
func nodeDuration(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'h': time.Hour, 'd': day, 'w': 7 * day, 'y': 365 * day}[text[len(text)-1]]
	if ok {
		text = text[:len(text)-1]
	} else {
		unit = 31 * day
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n*float64(unit) > float64(maxRetention) {
		return 0, false
	}
	return time.Duration(n * float64(unit)), true
}
