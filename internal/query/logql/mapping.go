package logql

import (
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/conv"
	"github.com/mindscope/mindscope/internal/store"
)

// Names of labels that the language and Grafana give a meaning.
const (
	labelError        = "__error__"
	labelErrorDetails = "__error_details__"
	labelLevel        = "level"
	labelDetected     = "detected_level"
	labelEntry        = "_entry"
)

// unknownLevel is the detected_level of a record that says nothing about its severity.
const unknownLevel = "unknown"

// known is a label whose values stand in fields that are known beforehand, so that the store can filter and group by it.
// docs/logql.md lists them.
type known struct {
	name   string
	fields []string
	slots  []int // of fields among all known ones
	// stream says that the label is part of what makes a stream. Such labels have few values.
	stream bool
	// offered says that a selector may be expected to name it: it is in the list of labels.
	offered bool
	// shown says that records carry it: in the stream, or among their structured metadata. Others can be selected and
	// grouped by.
	shown bool
	// always says that every record has it.
	always bool
	// text makes the label of the fields' texts.
	text func(texts []string) string
	// push returns a filter that holds for exactly the rows whose label matches; nil when there is none.
	push func(m func(string) bool, literals []string, negated bool) store.Filter
}

// The columns of severity are computed, not copied.
var severityFields = []string{store.FieldSeverity, store.FieldSeverityText}

// knownLabels are all of them. The order is that of a record's labels.
var knownLabels = []*known{
	{
		name: "service_name", fields: []string{store.FieldService}, stream: true, offered: true, shown: true, always: true,
		text: func(texts []string) string { return texts[0] },
		push: func(_ func(string) bool, literals []string, negated bool) store.Filter {
			if negated && len(literals) == 1 && literals[0] == "" {
				return store.And{}
			}
			return pushField(store.FieldService, literals, negated)
		},
	},
	attribute("service_namespace", conv.ServiceNamespace, true),
	firstOf("deployment_environment", true, store.PrefixResource+"deployment.environment.name", store.PrefixResource+"deployment.environment"),
	column("team", store.FieldTeam, true),
	column("agent", store.FieldAgent, true),

	{name: labelLevel, fields: severityFields, offered: true, shown: true, text: levelText, push: pushLevel("")},
	{name: labelDetected, fields: severityFields, shown: true, text: detectedText, push: pushLevel(unknownLevel)},
	{name: "job", fields: []string{store.PrefixResource + conv.ServiceNamespace, store.FieldService}, text: jobText, push: pushJob},
	attribute("service_instance_id", "service.instance.id", false),
	attribute("host_name", "host.name", false),
	attribute("k8s_cluster_name", "k8s.cluster.name", false),
	attribute("k8s_namespace_name", "k8s.namespace.name", false),
	attribute("k8s_pod_name", "k8s.pod.name", false),
	attribute("k8s_container_name", "k8s.container.name", false),
	attribute("k8s_deployment_name", "k8s.deployment.name", false),
	column("trace_id", store.FieldTraceID, false),
	column("span_id", store.FieldSpanID, false),
	column("task_id", store.FieldTaskID, false),
	column("task_type", store.FieldTaskType, false),
	column("conversation", store.FieldConversation, false),
	column("user", store.FieldUser, false),
	column("tool", store.FieldTool, false),
	column("operation", store.FieldOperation, false),
	column("provider", store.FieldProvider, false),
	column("model", store.FieldModel, false),
	column("event_name", store.FieldEventName, false),
	column("severity_text", store.FieldSeverityText, false),
	column("severity_number", store.FieldSeverity, false),
	column("scope_name", store.FieldScopeName, false),
	column("scope_version", store.FieldScopeVersion, false),
}

// knownByName and knownFields find them by the label's name and by a field's.
var (
	knownByName = indexKnown()
	knownFields = indexFields()
)

func indexKnown() map[string]*known {
	out := make(map[string]*known, len(knownLabels))
	for _, k := range knownLabels {
		out[k.name] = k
	}
	return out
}

// indexFields numbers the fields that known labels are made of, and tells these their numbers.
func indexFields() map[string]int {
	out := map[string]int{}
	for _, k := range knownLabels {
		for _, f := range k.fields {
			if _, ok := out[f]; !ok {
				out[f] = len(out)
			}
			k.slots = append(k.slots, out[f])
		}
	}
	return out
}

func column(name, field string, stream bool) *known {
	return &known{
		name: name, fields: []string{field}, stream: stream, offered: stream, shown: true,
		text: func(texts []string) string { return texts[0] },
		push: func(_ func(string) bool, literals []string, negated bool) store.Filter {
			return pushField(field, literals, negated)
		},
	}
}

func attribute(name, attr string, stream bool) *known {
	k := column(name, store.PrefixResource+attr, stream)
	k.offered = true
	return k
}

// firstOf is a label that is the first of two fields that has a text.
func firstOf(name string, stream bool, field, other string) *known {
	return &known{
		name: name, fields: []string{field, other}, stream: stream, offered: true, shown: true,
		text: func(texts []string) string {
			if texts[0] != "" {
				return texts[0]
			}
			return texts[1]
		},
		push: func(_ func(string) bool, literals []string, negated bool) store.Filter {
			a, b := pushField(field, literals, negated), pushField(other, literals, negated)
			if a == nil || b == nil {
				return nil
			}
			has := store.Exists{Field: field}
			return store.Or{store.And{has, a}, store.And{store.Not{Filter: has}, b}}
		},
	}
}

// levels are the severities by name, with the lowest number of each; the next one's is the end. spellings are the other
// words for them in severity_text, for records without a number.
var levels = []struct {
	name      string
	from      int64
	spellings []string
}{
	{"trace", 1, []string{"trc", "verbose"}},
	{"debug", 5, []string{"dbg"}},
	{"info", 9, []string{"inf", "information", "informational", "notice"}},
	{"warn", 13, []string{"warning", "wrn"}},
	{"error", 17, []string{"err", "failure"}},
	{"fatal", 21, []string{"critical", "crit", "panic", "alert", "emergency"}},
}

// spelledLevels are all words for levels, in lower case, upper case and with a capital.
var spelledLevels = spellLevels()

func spellLevels() map[string]string {
	out := map[string]string{}
	for _, l := range levels {
		for _, s := range append([]string{l.name}, l.spellings...) {
			for _, spelled := range []string{s, strings.ToUpper(s), strings.ToUpper(s[:1]) + s[1:]} {
				out[spelled] = l.name
			}
		}
	}
	return out
}

// levelText makes a level of a severity number and text.
func levelText(texts []string) string {
	number := texts[0]
	if number == "" {
		return spelledLevels[texts[1]]
	}
	n, _ := store.String(number).Number()
	for _, l := range slices.Backward(levels) {
		if n >= float64(l.from) {
			return l.name
		}
	}
	return ""
}

func detectedText(texts []string) string {
	if l := levelText(texts); l != "" {
		return l
	}
	return unknownLevel
}

// pushLevel asks for the levels that match; none is what a record has that says nothing.
func pushLevel(none string) func(func(string) bool, []string, bool) store.Filter {
	return func(m func(string) bool, _ []string, _ bool) store.Filter {
		var any, all store.Or
		for i, l := range levels {
			f := levelFilter(i)
			all = append(all, f)
			if m(l.name) {
				any = append(any, f)
			}
		}
		if m(none) {
			any = append(any, store.Not{Filter: all})
		}
		if len(any) == len(levels)+1 {
			return store.And{}
		}
		return any
	}
}

func levelFilter(i int) store.Filter {
	number := store.And{store.Compare{Field: store.FieldSeverity, Op: store.OpGe, Value: store.Int(levels[i].from)}}
	if i+1 < len(levels) {
		number = append(number, store.Compare{Field: store.FieldSeverity, Op: store.OpLt, Value: store.Int(levels[i+1].from)})
	}
	var words []string
	for spelled, name := range spelledLevels {
		if name == levels[i].name {
			words = append(words, spelled)
		}
	}
	slices.Sort(words)
	text := store.And{
		store.Not{Filter: store.Exists{Field: store.FieldSeverity}},
		store.In{Field: store.FieldSeverityText, Values: words},
	}
	return store.Or{number, text}
}

// jobText is what Prometheus calls a service: its namespace and name.
func jobText(texts []string) string {
	if texts[0] == "" {
		return texts[1]
	}
	return texts[0] + "/" + texts[1]
}

func pushJob(_ func(string) bool, literals []string, negated bool) store.Filter {
	if literals == nil {
		return nil
	}
	namespace := store.PrefixResource + conv.ServiceNamespace
	var any store.Or
	for _, job := range literals {
		any = append(any, store.And{store.Not{Filter: store.Exists{Field: namespace}}, store.Eq(store.FieldService, job)})
		for i := range len(job) {
			if job[i] == '/' && i > 0 {
				any = append(any, store.And{store.Eq(namespace, job[:i]), store.Eq(store.FieldService, job[i+1:])})
			}
		}
	}
	if negated {
		return store.Not{Filter: any}
	}
	return any
}

// sanitize makes a label's name of any text: other characters than letters, digits, '_' and ':' become '_'.
func sanitize(name string) string {
	clean := name != "" && !isDigit(name[0])
	for i := 0; clean && i < len(name); i++ {
		clean = isIdent(name[i])
	}
	if clean {
		return name
	}
	b := make([]byte, 0, len(name)+1)
	if name == "" || isDigit(name[0]) {
		b = append(b, '_')
	}
	for _, r := range name {
		if r < 0x80 && isIdent(byte(r)) {
			b = append(b, byte(r))
		} else {
			b = append(b, '_')
		}
	}
	return string(b)
}

func validLabel(name string) bool { return name != "" && sanitize(name) == name }
