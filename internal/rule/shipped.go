package rule

import (
	"bytes"
	"embed"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

//go:embed shipped/*.yml
var shippedFiles embed.FS

// shippedPrefix marks the name of a rule file that is in the binary.
const shippedPrefix = "mindscope:"

// Thresholds are the numbers in the shipped rules that a team may want to change.
type Thresholds struct {
	// TaskFailureRatio, LLMErrorRatio and MissingHops are shares, 0 to 1; MinTasks and MinCalls is how many of them there
	// must be in the window before a share says anything.
	TaskFailureRatio, LLMErrorRatio float64
	MinTasks, MinCalls              int
	// Every is how often the alerts are evaluated.
	Every time.Duration
	// Window is the range of the rates.
	Window time.Duration
	// For is how long a condition must hold.
	For time.Duration
	// TaskStuck is how long a task may run before it is called stuck.
	TaskStuck time.Duration
	// InProgress is how many tasks may run at once.
	InProgress int
	// LatencyFactor is how much slower than last week LLM calls may be.
	LatencyFactor float64
	// CostPerHour and CostPerDay are dollars.
	CostPerHour, CostPerDay float64
	// QualityDrop is how many points the average may lose against the day before.
	QualityDrop float64
	// MessageWait is how long a message may wait, at the 95th percentile.
	MessageWait time.Duration
	// AgentSilent is how long an agent that works every day may be silent.
	AgentSilent time.Duration
	// AgentCallsPerTask is how many calls of one agent a task may need on average before it is called a loop.
	AgentCallsPerTask float64
}

// DefaultThresholds returns the numbers that hold without a word.
func DefaultThresholds() Thresholds {
	return Thresholds{
		TaskFailureRatio: 0.1, LLMErrorRatio: 0.1, MinTasks: 5, MinCalls: 20,
		Every: 30 * time.Second, Window: 15 * time.Minute, For: 5 * time.Minute,
		TaskStuck: 30 * time.Minute, InProgress: 100,
		LatencyFactor: 2, CostPerHour: 10, CostPerDay: 100, QualityDrop: 1,
		MessageWait: time.Minute, AgentSilent: time.Hour, AgentCallsPerTask: 10,
	}
}

// runbooks is where the runbooks of the shipped alerts are.
const runbooks = "https://github.com/mindscope/mindscope/blob/main/docs/runbooks/"

// Shipped returns MindScope's own rule files with the thresholds filled in, by name.
func Shipped(t Thresholds) (map[string][]byte, error) {
	files := map[string][]byte{}
	entries, err := shippedFiles.ReadDir("shipped")
	if err != nil {
		return nil, fmt.Errorf("read shipped rules: %w", err)
	}
	for _, e := range entries {
		raw, err := shippedFiles.ReadFile(path.Join("shipped", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read shipped rules: %w", err)
		}
		if files[e.Name()], err = fill(e.Name(), raw, t); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// fill puts the thresholds where a file has [[.Name]]. The rules' own templates are in {{ }} and stay.
func fill(name string, raw []byte, t Thresholds) ([]byte, error) {
	tmpl, err := template.New(name).Delims("[[", "]]").Funcs(template.FuncMap{
		"d":       func(d time.Duration) string { return model.Duration(d).String() },
		"s":       func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) },
		"n":       func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
		"runbook": func(alert string) string { return runbooks + strings.ToLower(alert) + ".md" },
	}).Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("read shipped rules: %w", err)
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, t); err != nil {
		return nil, fmt.Errorf("fill shipped rules: %w", err)
	}
	return b.Bytes(), nil
}

// loader reads the rule files that are in the binary, and all others from disk. A group of rules on disk takes the place of
// the one of the same name in the binary: what is shipped can be changed, and evaluates once.
type loader struct {
	shipped map[string][]byte
	replace *replaced
	parser  parser.Parser
	logger  *slog.Logger
	// alertsOnly leaves groups of recording rules out.
	alertsOnly bool
}

// Load implements rules.GroupLoader.
func (l loader) Load(name string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	if own, ok := strings.CutPrefix(name, shippedPrefix); ok {
		groups, errs := rulefmt.Parse(l.shipped[own], ignoreUnknown, scheme, l.parser, l.logger)
		if groups != nil {
			groups.Groups = slices.DeleteFunc(groups.Groups, func(g rulefmt.RuleGroup) bool { return l.replace.has(g.Name) || l.alertsOnly && !hasAlert(g) })
		}
		return groups, errs
	}
	return rulefmt.ParseFile(name, ignoreUnknown, scheme, l.parser, l.logger)
}

// hasAlert tells whether a group has an alert; shipped groups have either alerts or recording rules.
func hasAlert(g rulefmt.RuleGroup) bool {
	return slices.ContainsFunc(g.Rules, func(r rulefmt.Rule) bool { return r.Alert != "" })
}

// Parse implements rules.GroupLoader.
func (l loader) Parse(query string) (parser.Expr, error) { return l.parser.ParseExpr(query) }

// replaced are the names of the groups that are on disk.
type replaced struct {
	mu    sync.Mutex
	names map[string]bool
}

// has tells whether a group is on disk. Nothing replaces anything where there is no replaced.
func (r *replaced) has(name string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names[name]
}

// set gives it other names and returns those before.
func (r *replaced) set(names map[string]bool) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.names
	r.names = names
	return before
}

// groupsIn returns the names of the groups in files. A file that can't be read has none: who loads it says what is wrong.
func (l loader) groupsIn(files []string) map[string]bool {
	names := map[string]bool{}
	for _, file := range files {
		groups, errs := l.Load(file, false, model.UTF8Validation)
		if groups == nil || len(errs) > 0 {
			continue
		}
		for _, g := range groups.Groups {
			names[g.Name] = true
		}
	}
	return names
}
