package grafana_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/mindscope/mindscope/internal/grafana"
	"github.com/mindscope/mindscope/test/panels"
)

// The fields that Grafana's provisioning knows of these kinds, as far as we use them.
type (
	datasourceFile struct {
		APIVersion  int          `yaml:"apiVersion"`
		Prune       bool         `yaml:"prune"`
		Datasources []datasource `yaml:"datasources"`
	}
	datasource struct {
		Name      string `yaml:"name"`
		UID       string `yaml:"uid"`
		Type      string `yaml:"type"`
		Access    string `yaml:"access"`
		URL       string `yaml:"url"`
		IsDefault bool   `yaml:"isDefault"`
		JSONData  struct {
			HTTPMethod                  string `yaml:"httpMethod"`
			PrometheusType              string `yaml:"prometheusType"`
			TimeInterval                string `yaml:"timeInterval"`
			ManageAlerts                *bool  `yaml:"manageAlerts"`
			AllowAsRecordingRulesTarget *bool  `yaml:"allowAsRecordingRulesTarget"`
			Exemplars                   []struct {
				Name          string `yaml:"name"`
				DatasourceUID string `yaml:"datasourceUid"`
			} `yaml:"exemplarTraceIdDestinations"`
			NodeGraph struct {
				Enabled bool `yaml:"enabled"`
			} `yaml:"nodeGraph"`
			ServiceMap struct {
				DatasourceUID string `yaml:"datasourceUid"`
			} `yaml:"serviceMap"`
			StreamingEnabled map[string]bool `yaml:"streamingEnabled"`
			TraceQuery       map[string]bool `yaml:"traceQuery"`
			TracesToLogs     struct {
				DatasourceUID string `yaml:"datasourceUid"`
				Start         string `yaml:"spanStartTimeShift"`
				End           string `yaml:"spanEndTimeShift"`
				Tags          []tag  `yaml:"tags"`
				CustomQuery   bool   `yaml:"customQuery"`
				Query         string `yaml:"query"`
			} `yaml:"tracesToLogsV2"`
			TracesToMetrics struct {
				DatasourceUID string `yaml:"datasourceUid"`
				Start         string `yaml:"spanStartTimeShift"`
				End           string `yaml:"spanEndTimeShift"`
				Tags          []tag  `yaml:"tags"`
				Queries       []struct {
					Name  string `yaml:"name"`
					Query string `yaml:"query"`
				} `yaml:"queries"`
			} `yaml:"tracesToMetrics"`
			MaxLines      int `yaml:"maxLines"`
			DerivedFields []struct {
				Name            string `yaml:"name"`
				MatcherType     string `yaml:"matcherType"`
				MatcherRegex    string `yaml:"matcherRegex"`
				DatasourceUID   string `yaml:"datasourceUid"`
				URL             string `yaml:"url"`
				URLDisplayLabel string `yaml:"urlDisplayLabel"`
			} `yaml:"derivedFields"`
		} `yaml:"jsonData"`
	}
	tag struct {
		Key   string `yaml:"key"`
		Value string `yaml:"value"`
	}
	providerFile struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name                  string `yaml:"name"`
			OrgID                 int    `yaml:"orgId"`
			Folder                string `yaml:"folder"`
			FolderUID             string `yaml:"folderUid"`
			Type                  string `yaml:"type"`
			DisableDeletion       bool   `yaml:"disableDeletion"`
			UpdateIntervalSeconds int    `yaml:"updateIntervalSeconds"`
			AllowUIUpdates        bool   `yaml:"allowUiUpdates"`
			Options               struct {
				Path string `yaml:"path"`
			} `yaml:"options"`
		} `yaml:"providers"`
	}
)

// expand does to a provisioning file what Grafana does: variables of the environment, $$ for a dollar.
func expand(raw []byte) []byte {
	return []byte(os.Expand(string(raw), func(name string) string {
		if name == "$" {
			return "$"
		}
		return "<the variable " + name + ">"
	}))
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	dec := yaml.NewDecoder(bytes.NewReader(expand(raw)))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
}

func TestProvision(t *testing.T) {
	dir := t.TempDir()
	stranger := filepath.Join(dir, "datasources", "other.yaml")
	if err := os.MkdirAll(filepath.Dir(stranger), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stranger, []byte("apiVersion: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	written, err := grafana.Provision(dir, "/etc/grafana/provisioning", grafana.Config{URL: "http://mindscope:9090/", BrowserURL: "https://scope.example/"})
	if err != nil || len(written) != 6 {
		t.Fatalf("wrote %v: %v", written, err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error(err)
	}
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var provider providerFile
	decode(t, read("dashboards/mindscope.yaml"), &provider)
	if p := provider.Providers[0]; p.Options.Path != "/etc/grafana/provisioning/dashboards/mindscope" || p.Type != "file" {
		t.Errorf("provider %+v", p)
	}
	boards, err := panels.Load(filepath.Join(dir, "dashboards", "mindscope"))
	if err != nil || len(boards) != 4 {
		t.Fatalf("%d dashboards: %v", len(boards), err)
	}
	if got := boards[0].Everything()["mindscope"]; got != "https://scope.example" {
		t.Errorf("links go to %q", got)
	}
	var sources datasourceFile
	decode(t, read("datasources/mindscope.yaml"), &sources)
	checkSources(t, sources, "http://mindscope:9090", boards)
}

// checkSources: each data source is where the server has it, and each jump lands on one of them.
func checkSources(t *testing.T, sources datasourceFile, url string, boards []panels.Board) {
	t.Helper()
	got, uids := map[string]string{}, map[string]string{}
	for _, s := range sources.Datasources {
		got[s.Type], uids[s.UID] = s.URL, s.Type
	}
	want := map[string]string{"prometheus": url, "tempo": url + "/tempo", "loki": url, "jaeger": url + "/jaeger"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
	lands := func(what, uid, kind string) {
		t.Helper()
		if uids[uid] != kind {
			t.Errorf("%s leads to %q, which is a %q and not a %s", what, uid, uids[uid], kind)
		}
	}
	for _, s := range sources.Datasources {
		j := s.JSONData
		switch s.Type {
		case "prometheus":
			lands("an exemplar", j.Exemplars[0].DatasourceUID, "tempo")
			if j.Exemplars[0].Name != "trace_id" || !s.IsDefault || j.ManageAlerts == nil || !*j.ManageAlerts {
				t.Errorf("metrics: %+v", s)
			}
		case "tempo":
			lands("the service graph", j.ServiceMap.DatasourceUID, "prometheus")
			lands("trace to metrics", j.TracesToMetrics.DatasourceUID, "prometheus")
			for _, q := range j.TracesToMetrics.Queries {
				if !strings.Contains(q.Query, "{$__tags}") {
					t.Errorf("query %q has no tags", q.Query)
				}
				checkNames(t, q.Name, strings.ReplaceAll(q.Query, "$__tags", `agent="writer"`), "", known(t))
			}
			fallthrough
		case "jaeger":
			lands("trace to logs", j.TracesToLogs.DatasourceUID, "loki")
			if j.TracesToLogs.Query != `{${__tags}} | trace_id="${__trace.traceId}"` {
				t.Errorf("trace to logs asks %q", j.TracesToLogs.Query)
			}
		case "loki":
			lands("a log line's trace", j.DerivedFields[0].DatasourceUID, "tempo")
			if f := j.DerivedFields[0]; f.URL != "${__value.raw}" || f.MatcherRegex != "^trace_id$" {
				t.Errorf("derived field %+v", f)
			}
		}
	}
	for _, b := range boards {
		for _, v := range b.Templating.List {
			if v.Type == "datasource" {
				lands("variable "+v.Name, v.Current.Value.(string), strings.Trim(string(v.Query), `"`))
			}
		}
	}
}

// TestProvisionsWhereItIs: without another place the provider names the folder that was written.
func TestProvisionsWhereItIs(t *testing.T) {
	dir := t.TempDir()
	if _, err := grafana.Provision(filepath.Join(dir, "new"), "", grafana.Config{URL: "http://localhost:9090"}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "new/dashboards/mindscope.yaml"))
	if err != nil || !strings.Contains(string(raw), "path: "+dir+"/new/dashboards/mindscope\n") {
		t.Errorf("%s %v", raw, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := grafana.Provision(file, "", grafana.Config{URL: "http://localhost:9090"}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// TestDeployedProvisioning: the files in deploy say what the stack needs.
func TestDeployedProvisioning(t *testing.T) {
	files, err := grafana.Provisioning(grafana.Config{URL: "http://mindscope:9090", Dashboards: "/etc/grafana/dashboards"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(deployed, "provisioning", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not current: run `make dashboards` (%v)", name, err)
		}
	}
}
