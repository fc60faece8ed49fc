// Command conv writes the names of registry.yaml into the packages and pages that use them:
// internal/conv, sdk/conv, docs/attributes.md and docs/metrics.md. Run it by `make generate` from the repository's root.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

type registry struct {
	Version  int                  `yaml:"version"`
	Groups   []group              `yaml:"attribute_groups"`
	Internal []attribute          `yaml:"internal_attributes"`
	Events   []attribute          `yaml:"events"`
	Buckets  map[string][]float64 `yaml:"buckets"`
	Metrics  []metric             `yaml:"metrics"`
}

type group struct {
	Name       string      `yaml:"name"`
	Source     string      `yaml:"source"`
	Attributes []attribute `yaml:"attributes"`
}

type attribute struct {
	ID      string `yaml:"id"`
	Type    string `yaml:"type"`
	Brief   string `yaml:"brief"`
	Example any    `yaml:"example"`
}

type metric struct {
	ID         string   `yaml:"id"`
	Prom       string   `yaml:"prom"`
	Instrument string   `yaml:"instrument"`
	Unit       string   `yaml:"unit"`
	Labels     []string `yaml:"labels"`
	Buckets    string   `yaml:"buckets"`
	Mission    bool     `yaml:"mission"`
	ServerOnly bool     `yaml:"server_only"`
	// Conventions: one of OpenTelemetry's, which a sender's instrumentation may bring.
	Conventions bool `yaml:"conventions"`
	// NoSDK: the SDK can't know it, or leaves it to others.
	NoSDK bool   `yaml:"no_sdk"`
	Brief string `yaml:"brief"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("conv: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	raw, err := os.ReadFile("conv/registry.yaml")
	if err != nil {
		return fmt.Errorf("read registry (run this from the repository's root): %w", err)
	}
	var r registry
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&r); err != nil {
		return fmt.Errorf("parse registry: %w", err)
	}
	server, err := goFile(r, true)
	if err != nil {
		return err
	}
	client, err := goFile(r, false)
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{
		"internal/conv/conv_gen.go": server,
		"sdk/conv/conv_gen.go":      client,
		"docs/attributes.md":        attributesPage(r),
		"docs/metrics.md":           metricsPage(r),
	} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write generated file: %w", err)
		}
	}
	return nil
}

const genHeader = "// Code generated from conv/registry.yaml by `make generate`. DO NOT EDIT.\n\n"

func goFile(r registry, server bool) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(genHeader)
	b.WriteString("// Package conv holds the names of attributes, events and metrics, generated from conv/registry.yaml.\n")
	b.WriteString("package conv\n\n")
	for _, g := range r.Groups {
		constants(&b, g.Name+" attributes", g.Attributes)
	}
	if server {
		constants(&b, "Attributes that the enrich steps set on the way to the store", r.Internal)
	}
	constants(&b, "Names of log events", prefixed("event.", r.Events))
	var names []attribute
	for _, m := range r.Metrics {
		names = append(names, attribute{ID: "metric." + m.ID, Brief: m.Brief})
	}
	constants(&b, "Names of metrics (OpenTelemetry)", names)
	names = nil
	for _, m := range r.Metrics {
		names = append(names, attribute{ID: "prom." + m.Prom, Brief: m.Brief})
	}
	constants(&b, "Names of metrics as Prometheus exposes them", names)
	for _, k := range slices.Sorted(maps.Keys(r.Buckets)) {
		fmt.Fprintf(&b, "// %sBuckets returns the upper bounds of the %s histograms.\nfunc %sBuckets() []float64 {\n\treturn []float64{", strings.ToUpper(k[:1])+k[1:], k, strings.ToUpper(k[:1])+k[1:])
		for i, v := range r.Buckets[k] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.FormatFloat(v, 'f', -1, 64))
		}
		b.WriteString("}\n}\n\n")
	}
	metricTable(&b, r)
	out, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("format generated Go: %w", err)
	}
	return out, nil
}

func prefixed(prefix string, as []attribute) []attribute {
	var out []attribute
	for _, a := range as {
		a.ID = prefix + a.ID
		out = append(out, a)
	}
	return out
}

func constants(b *bytes.Buffer, title string, as []attribute) {
	fmt.Fprintf(b, "// %s.\nconst (\n", strings.TrimSuffix(title, "."))
	for _, a := range as {
		value := a.ID
		for _, p := range []string{"event.", "metric.", "prom."} {
			value = strings.TrimPrefix(value, p)
		}
		fmt.Fprintf(b, "\t// %s: %s\n\t%s = %q\n", goName(a.ID), a.Brief, goName(a.ID), value)
	}
	b.WriteString(")\n\n")
}

func metricTable(b *bytes.Buffer, r registry) {
	b.WriteString(`// Metric describes one metric of the registry.
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
`)
	for _, m := range r.Metrics {
		buckets := "nil"
		if m.Buckets != "" {
			buckets = strings.ToUpper(m.Buckets[:1]) + m.Buckets[1:] + "Buckets()"
		}
		fmt.Fprintf(b, "\t\t{Name: %s, Prom: %s, Instrument: %q, Unit: %q, Brief: %q, Labels: %#v, Buckets: %s, Mission: %t, ServerOnly: %t, NoSDK: %t},\n",
			goName("metric."+m.ID), goName("prom."+m.Prom), m.Instrument, m.Unit, m.Brief, m.Labels, buckets, m.Mission, m.ServerOnly, m.NoSDK)
	}
	b.WriteString("\t}\n}\n")
}

// goName turns gen_ai.usage.input_tokens into GenAIUsageInputTokens.
func goName(id string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(id, func(r rune) bool { return r == '.' || r == '_' }) {
		switch word {
		case "ai", "id", "db", "llm", "uri", "url", "http", "usd":
			b.WriteString(strings.ToUpper(word))
		default:
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

const pageHeader = "<!-- Generated from conv/registry.yaml by `make generate`. Do not edit. -->\n\n"

func attributesPage(r registry) []byte {
	var b bytes.Buffer
	b.WriteString(pageHeader + "# Attributes\n\n")
	b.WriteString("What MindScope writes and reads, by name. OpenTelemetry's own names are kept wherever there is one.\n")
	sources := map[string]string{
		"ours":  "MindScope's own.",
		"genai": "OpenTelemetry's semantic conventions for generative AI (schema gen-ai-dev/1.42.0-dev).",
		"otel":  "OpenTelemetry's core semantic conventions (v1.43.0).",
	}
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| attribute | type | meaning | example |\n|---|---|---|---|\n", g.Name, sources[g.Source])
		for _, a := range g.Attributes {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%v` |\n", a.ID, a.Type, a.Brief, a.Example)
		}
	}
	b.WriteString("\n## Log events\n\n| event name | meaning |\n|---|---|\n")
	for _, e := range r.Events {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.ID, e.Brief)
	}
	return b.Bytes()
}

const ownership = `## Who counts

One owner a series: nothing is counted twice.

* The server counts all of the above from the spans, start records and logs of every sender, each span once.
* A sender that counts by itself says so in its resource: ` + "`ai_team.metrics=sdk`" + ` (the Go SDK does so with ` + "`WithMetrics`" + `; others by
  ` + "`OTEL_RESOURCE_ATTRIBUTES`" + `). For its spans the server counts only what it always does (emitted by: server), and takes the rest from
  the sender. Metrics that come otherwise than by OTLP say it by a label: ` + "`ai_team_metrics: sdk`" + ` in the target's ` + "`static_configs`" + `.
* Other series of these names that a sender brings, scraped, by remote write or by OTLP, are kept for a team of which the server
  has seen no span, and dropped for one that it counts by itself. A series without a team of its own (label ` + "`team`" + `, or
  ` + "`ai_team.team`" + ` in the resource) is taken for one of any team of its project.
* What was kept of a team before its first span came is deleted from the beginning of that span on, but for at most the last hour:
  from then the server counts.
* What the server always counts is never taken from a sender.

Dropped samples are in ` + "`mindscope_metrics_samples_refused_total{reason=\"owned_by_server\"}`" + `; senders of OTLP are told by partial success.
`

func metricsPage(r registry) []byte {
	var b bytes.Buffer
	b.WriteString(pageHeader + "# Metrics\n\n")
	b.WriteString("Every series also carries the target labels `project` and `team`. No label ever holds an id of a task, trace, message,\nartifact or user.\n\n")
	b.WriteString("| metric | type | labels | meaning | emitted by |\n|---|---|---|---|---|\n")
	for _, m := range r.Metrics {
		by := "server, or SDK with `WithMetrics`"
		switch {
		case m.ServerOnly:
			by = "server"
		case m.Conventions:
			by = "server, or the sender's instrumentation"
		}
		name := "`" + m.Prom + "`"
		if m.Mission {
			name = "**" + name + "**"
		}
		labels := strings.Join(m.Labels, ", ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, m.Instrument, labels, m.Brief, by)
	}
	b.WriteString("\nBold: the seven of the mission.\n\n")
	for _, k := range slices.Sorted(maps.Keys(r.Buckets)) {
		bounds := make([]string, len(r.Buckets[k]))
		for i, v := range r.Buckets[k] {
			bounds[i] = strconv.FormatFloat(v, 'f', -1, 64)
		}
		fmt.Fprintf(&b, "Buckets of %s: %s\n\n", k, strings.Join(bounds, " "))
	}
	b.WriteString(ownership)
	return append(bytes.TrimRight(b.Bytes(), "\n"), 0x0a)
}
