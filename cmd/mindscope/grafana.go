package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/mindscope/mindscope/internal/app"
	"github.com/mindscope/mindscope/internal/client"
)

// grafanaCmd sets up a Grafana.
type grafanaCmd struct {
	Provision grafanaProvisionCmd `cmd:"" help:"Write data sources and dashboards into Grafana's provisioning folder."`
}

type grafanaProvisionCmd struct {
	Dir        string `help:"Grafana's provisioning folder; it is made when it isn't there." required:"" placeholder:"DIR"`
	URL        string `name:"url" help:"Where Grafana reaches MindScope." default:"http://127.0.0.1:9090" placeholder:"URL"`
	BrowserURL string `name:"browser-url" help:"Where browsers reach MindScope; that of --url." placeholder:"URL"`
	SeenAs     string `name:"seen-as" help:"Where Grafana sees DIR, when that is another place, as in a container." placeholder:"PATH"`
}

// Run writes the files and prints their paths.
func (c *grafanaProvisionCmd) Run(_ context.Context, g *globals, std stdio) error {
	for _, u := range []string{c.URL, c.BrowserURL} {
		if u == "" {
			continue
		}
		if _, err := client.New(u, g.Project); err != nil {
			return usageError{err}
		}
	}
	written, err := app.ProvisionGrafana(c.Dir, c.SeenAs, c.URL, c.BrowserURL)
	if err != nil {
		return err
	}
	slices.Sort(written)
	for _, file := range written {
		fmt.Fprintln(std.Out, file)
	}
	return nil
}
