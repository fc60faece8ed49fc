package grafana

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// The ids of the provisioned data sources, which links and dashboards name.
const (
	MetricsUID = "mindscope-metrics"
	TracesUID  = "mindscope-traces"
	LogsUID    = "mindscope-logs"
	JaegerUID  = "mindscope-jaeger"
)

// Config says what is provisioned where.
type Config struct {
	// URL is where Grafana reaches MindScope, like http://mindscope:9090; BrowserURL is where people's browsers do, the
	// same when empty.
	URL, BrowserURL string
	// Dashboards is the folder of the dashboards as Grafana sees it.
	Dashboards string
}

func (c Config) browser() string {
	if c.BrowserURL == "" {
		return strings.TrimRight(c.URL, "/")
	}
	return strings.TrimRight(c.BrowserURL, "/")
}

//go:embed provisioning/datasources.yaml
var datasources string

//go:embed provisioning/dashboards.yaml
var provider string

// boards are all dashboards.
func boards() []board {
	return []board{taskOverview(), llmMetrics(), agentPerformance(), platform()}
}

// Dashboards returns the dashboards by file name. mindscope is the address at which browsers reach the server; links to
// tasks and exact figures go there.
func Dashboards(mindscope string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, b := range boards() {
		raw, err := b.render(mindscope)
		if err != nil {
			return nil, err
		}
		files[b.uid+".json"] = raw
	}
	return files, nil
}

// Provisioning returns what Grafana reads from its provisioning folder, by path in it: the data sources and the provider
// of the dashboards.
func Provisioning(c Config) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, text := range map[string]string{"datasources/mindscope.yaml": datasources, "dashboards/mindscope.yaml": provider} {
		tmpl, err := template.New(name).Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, map[string]string{
			"URL": strings.TrimRight(c.URL, "/"), "Dashboards": c.Dashboards, "Metrics": MetricsUID, "Traces": TracesUID, "Logs": LogsUID, "Jaeger": JaegerUID,
		}); err != nil {
			return nil, fmt.Errorf("fill %s: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	return files, nil
}

// dashboardsFolder is where Provision puts the dashboards, below the provisioning folder.
const dashboardsFolder = "dashboards/mindscope"

// Provision writes data sources, the provider and the dashboards into dir, Grafana's provisioning folder. seenAs is dir as
// Grafana sees it, dir itself when empty. It returns the paths of what it wrote; other files in dir stay as they are.
func Provision(dir, seenAs string, c Config) ([]string, error) {
	if seenAs == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("find folder: %w", err)
		}
		seenAs = filepath.ToSlash(abs)
	}
	c.Dashboards = path.Join(seenAs, dashboardsFolder)
	files, err := Provisioning(c)
	if err != nil {
		return nil, err
	}
	boards, err := Dashboards(c.browser())
	if err != nil {
		return nil, err
	}
	for name, raw := range boards {
		files[path.Join(dashboardsFolder, name)] = raw
	}
	return Write(dir, files)
}

// Write writes files below dir and returns their paths.
func Write(dir string, files map[string][]byte) ([]string, error) {
	written := make([]string, 0, len(files))
	for name, raw := range files {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // Grafana runs as another user
			return nil, fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(to, raw, 0o644); err != nil { //nolint:gosec // as above; nothing in it is secret
			return nil, fmt.Errorf("write file: %w", err)
		}
		written = append(written, to)
	}
	return written, nil
}
