package app

import "github.com/mindscope/mindscope/internal/grafana"

// ProvisionGrafana writes data sources and dashboards into dir, a provisioning folder of Grafana, and returns the paths of
// what it wrote. seenAs is where Grafana sees dir, dir itself when empty. url is where Grafana reaches the server,
// browserURL where browsers do, url when empty.
func ProvisionGrafana(dir, seenAs, url, browserURL string) ([]string, error) {
	return grafana.Provision(dir, seenAs, grafana.Config{URL: url, BrowserURL: browserURL})
}
