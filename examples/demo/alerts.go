package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// failureRule is the shipped alert that the demo's failures must make fire.
const failureRule = "TaskFailureRate"

// alertmanagerFile delivers every alert to the demo at once.
func alertmanagerFile(webhook string) string {
	var route strings.Builder
	for _, s := range hurried() {
		if key, ok := strings.CutPrefix(s.key, "route."); ok {
			route.WriteString(", " + key + ": " + s.demo)
		}
	}
	return "route: {receiver: demo, group_by: [alertname, team]" + route.String() + "}\n" +
		"receivers:\n  - name: demo\n    webhook_configs: [{url: 'http://" + webhook + "/'}]\n"
}

// serverFile are the server's settings.
func serverFile(alertmanager string) string {
	sections := map[string][]string{"alertmanager": {"file: '" + alertmanager + "'"}}
	for _, s := range hurried() {
		if section, key, _ := strings.Cut(s.key, "."); section != "route" {
			sections[section] = append(sections[section], key+": "+s.demo)
		}
	}
	var file strings.Builder
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		file.WriteString(section + ": {" + strings.Join(sections[section], ", ") + "}\n")
	}
	return file.String()
}

// setting is one that the demo has other than it is without a word.
type setting struct{ key, demo, shipped string }

// hurried are the settings that let an alert fire within seconds. Thresholds stay as they are. Those of route are of
// alertmanager.yml; a test of the server's compares what is shipped.
func hurried() []setting {
	return []setting{
		{"rules.window", "20s", "15m"},
		{"rules.for", "1s", "5m"},
		{"rules.every", "1s", "30s"},
		{"metrics.own_interval", "1s", "15s"},
		{"route.group_wait", "1s", "30s"},
		{"route.group_interval", "2s", "5m"},
	}
}

// sayHurried tells what the demo changed.
func sayHurried() {
	fmt.Printf("\nThe rule is the shipped one. So that nobody has to wait, the demo changed these settings:\n")
	for _, s := range hurried() {
		fmt.Printf("  %-21s %-4s shipped: %s\n", s.key, s.demo, s.shipped)
	}
}

// notice is an alert as an Alertmanager sends it.
type notice struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// webhook takes the alerts of the demo's server.
type webhook struct {
	addr   string
	server *http.Server
	got    chan notice
}

// listenForAlerts starts a webhook and writes the files that make a server deliver to it; it returns the server's.
func listenForAlerts(ctx context.Context, dir string) (*webhook, string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen for alerts: %w", err)
	}
	w := &webhook{addr: l.Addr().String(), got: make(chan notice, 100)}
	w.server = &http.Server{Handler: http.HandlerFunc(w.take), ReadHeaderTimeout: time.Second}
	go func() { _ = w.server.Serve(l) }() // ends with ErrServerClosed
	am, file := filepath.Join(dir, "alertmanager.yml"), filepath.Join(dir, "mindscope.yaml")
	err = errors.Join(
		os.WriteFile(am, []byte(alertmanagerFile(w.addr)), 0o600),
		os.WriteFile(file, []byte(serverFile(am)), 0o600),
	)
	if err != nil {
		w.stop()
		return nil, "", fmt.Errorf("write settings: %w", err)
	}
	return w, file, nil
}

func (w *webhook) stop() { _ = w.server.Close() }

// take keeps what the demo waits for. Other alerts, and what nobody waits for any more, are let go.
func (w *webhook) take(_ http.ResponseWriter, r *http.Request) {
	var n struct {
		Alerts []notice `json:"alerts"`
	}
	if json.NewDecoder(r.Body).Decode(&n) != nil {
		return
	}
	for _, a := range n.Alerts {
		if a.Labels["alertname"] != failureRule {
			continue
		}
		select {
		case w.got <- a:
		default:
		}
	}
}

// next waits for the alert in a status.
func (w *webhook) next(ctx context.Context, status string) (notice, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case a := <-w.got:
			if a.Status == status {
				return a, nil
			}
		case <-ctx.Done():
			return notice{}, fmt.Errorf("wait until the alert %s is %s: %w", failureRule, status, ctx.Err())
		}
	}
}

// alerted shows that the shipped alert fired because of the team's failures, and that it ends when the team has recovered.
func alerted(ctx context.Context, s *server, o options, w *webhook) error {
	a, err := w.next(ctx, "firing")
	if err != nil {
		return err
	}
	fmt.Printf("\nAlert %s reached the webhook: %s.\n  tasks    %s\n  cause    %s\n  list     %s\n  runbook  %s\n",
		failureRule, a.Annotations["summary"], a.Annotations["tasks"], a.Annotations["cause"], a.Annotations["link"], a.Annotations["runbook_url"])
	sayHurried()
	fmt.Print("\nThe team recovers:\n\n")
	if err := runTeam(ctx, s, o, nil, "recovery", firstGood, 3); err != nil {
		return err
	}
	if _, err := w.next(ctx, "resolved"); err != nil {
		return err
	}
	fmt.Printf("\nAlert %s is resolved.\n", failureRule)
	return nil
}

// firstGood is the number of an article from which on some do not fail.
const firstGood = 37
