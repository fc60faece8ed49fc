// Command deploy writes the files of deploy that are made from the program's own descriptions: the dashboards and
// provisioning of Grafana. Run it by `make dashboards` from the repository's root.
package main

import (
	"fmt"
	"os"

	"github.com/mindscope/mindscope/internal/grafana"
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
	for dir, files := range map[string]map[string][]byte{"deploy/grafana/dashboards": boards, "deploy/grafana/provisioning": provisioning} {
		if _, err := grafana.Write(dir, files); err != nil {
			return err
		}
	}
	return nil
}
