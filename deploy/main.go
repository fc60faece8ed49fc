// Command deploy writes the files of deploy that are made from the program's own descriptions: the dashboards and
// provisioning of Grafana, and the shipped rules, with their default thresholds, for a Prometheus outside. Run it by
// `make dashboards` from the repository's root.
package main

import (
	"fmt"
	"os"

	"github.com/mindscope/mindscope/internal/grafana"
	"github.com/mindscope/mindscope/internal/rule"
)

// What the files assume where nobody says otherwise: names and ports of the stack in deploy.
const (
	inside     = "http://mindscope:9090"
	browser    = "http://localhost:9090"
	dashboards = "/etc/grafana/dashboards"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := os.Stat("deploy/main.go"); err != nil {
		return fmt.Errorf("find the folder deploy (run this from the repository's root): %w", err)
	}
	boards, err := grafana.Dashboards(browser)
	if err != nil {
		return err
	}
	provisioning, err := grafana.Provisioning(grafana.Config{URL: inside, BrowserURL: browser, Dashboards: dashboards})
	if err != nil {
		return err
	}
	rules, err := rule.Shipped(rule.DefaultThresholds())
	if err != nil {
		return err
	}
	for name, raw := range rules {
		rules[name] = append([]byte("# Written from internal/rule/shipped by `make dashboards`, with the default thresholds. Do not edit.\n"), raw...)
	}
	for dir, files := range map[string]map[string][]byte{
		"deploy/grafana/dashboards": boards, "deploy/grafana/provisioning": provisioning, "deploy/prometheus/rules": rules,
	} {
		if _, err := grafana.Write(dir, files); err != nil {
			return err
		}
	}
	return nil
}
