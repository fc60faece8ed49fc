package app

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/strutil"

	promqlquery "github.com/mindscope/mindscope/internal/query/promql"
	"github.com/mindscope/mindscope/internal/query/team"
	"github.com/mindscope/mindscope/internal/rule"
	"github.com/mindscope/mindscope/internal/self"
	"github.com/mindscope/mindscope/internal/signal"
)

// alertmanagerPrefix is where the API of alerts lives; amtool is given this address.
const alertmanagerPrefix = "/alertmanager"

// startRules evaluates the shipped rules and those of prometheus.yml, and delivers what fires.
func (a *App) startRules(m *metricsPart, work rule.Config, find rule.Find) error {
	if !a.cfg.Rules.Enabled {
		return nil
	}
	external, err := a.externalURL()
	if err != nil {
		return err
	}
	notifiers, err := a.startNotifiers(m, external)
	if err != nil {
		return err
	}
	shipped, err := rule.Shipped(rule.Thresholds(a.cfg.Rules.Thresholds))
	if err != nil {
		return err
	}
	work.Parser, work.Shipped, work.ExternalURL = promqlquery.NewParser(), shipped, external
	work.Logger, work.Registerer = self.Quieter(a.log.With("component", "rules")), a.metrics.Registerer()
	work.Notify = func(ctx context.Context, alerts []*rules.Alert, expr string) {
		alerts, err := rule.Explain(ctx, alerts, external, find)
		if err != nil {
			a.log.Warn("alerts go out without their tasks", "error", err)
		}
		for _, notify := range notifiers {
			if err := notify(ctx, alerts, external.String()+strutil.TableLinkForExpression(expr)); err != nil {
				a.log.Error("alerts are not delivered", "error", err)
			}
		}
	}
	manager := rule.Start(work)
	a.running("rules", func(context.Context) error { manager.Stop(); return nil })
	if err := manager.Apply(m.inForce.Load()); err != nil {
		return signal.WithHint(err, "promtool check rules FILE says more")
	}
	m.rules = manager
	m.readers = append(m.readers, promReader{manager.Check, manager.Apply})
	return nil
}

// notifier delivers alerts.
type notifier func(ctx context.Context, alerts []*rules.Alert, generatorURL string) error

// startNotifiers starts the Alertmanager inside and, when prometheus.yml names others, what sends to those.
func (a *App) startNotifiers(m *metricsPart, external *url.URL) ([]notifier, error) {
	var notifiers []notifier
	if a.cfg.Alertmanager.Enabled {
		inside, err := a.startAlertmanager(m, external)
		if err != nil {
			return nil, err
		}
		notifiers = append(notifiers, inside.Put)
	}
	outside, err := rule.StartSender(rule.SenderConfig{
		Logger: self.Quieter(a.log.With("component", "notifier")), Registerer: a.metrics.Registerer(),
	})
	if err != nil {
		return nil, err
	}
	a.running("notifier", func(context.Context) error { outside.Stop(); return nil })
	if err := outside.Apply(m.inForce.Load()); err != nil {
		return nil, err
	}
	m.readers = append(m.readers, promReader{nil, outside.Apply})
	m.sender = outside
	return append(notifiers, outside.Put), nil
}

// startAlertmanager starts the Alertmanager inside.
func (a *App) startAlertmanager(m *metricsPart, external *url.URL) (*rule.Alertmanager, error) {
	dir, err := a.alertsFolder()
	if err != nil {
		return nil, err
	}
	inside, err := rule.StartAlertmanager(rule.AlertmanagerConfig{
		File: a.cfg.Alertmanager.File, Dir: dir, Prefix: alertmanagerPrefix,
		ExternalURL: external.JoinPath(alertmanagerPrefix),
		Cluster: rule.ClusterConfig{
			Listen: a.cfg.Alertmanager.ClusterListen, TLSFile: a.cfg.Alertmanager.ClusterTLS, Peers: a.cfg.Alertmanager.Peers, PeerTimeout: a.cfg.Alertmanager.PeerTimeout,
		},
		Logger: self.Quieter(a.log.With("component", "alertmanager")), Registerer: a.metrics.Registerer(),
	})
	if err != nil {
		return nil, signal.WithHint(err, "the file is a normal alertmanager.yml; amtool check-config FILE says more")
	}
	a.running("alertmanager", func(context.Context) error { inside.Stop(); return nil })
	a.warnOfGossip()
	m.alerts, m.deliverer = inside.Handler(), inside
	return inside, nil
}

// warnOfGossip says when other machines can take part in what the Alertmanagers tell each other. With TLS it is the
// Alertmanager that warns, when its file lets anyone in.
func (a *App) warnOfGossip() {
	if c := a.cfg.Alertmanager; c.ClusterListen != "" && c.ClusterTLS == "" {
		a.warnIfOpen("--alertmanager.cluster-listen", c.ClusterListen,
			"read and set silences, and keep alerts from being sent; alertmanager.cluster_tls ends that")
	}
}

// alertsFolder is where silences and the log of notifications are kept.
func (a *App) alertsFolder() (string, error) {
	if !a.cfg.Memory {
		return filepath.Join(a.cfg.Data, "alerts"), nil
	}
	dir, err := os.MkdirTemp("", "mindscope-alerts-")
	if err != nil {
		return "", fmt.Errorf("make folder of alerts: %w", err)
	}
	a.running("folder of alerts", func(context.Context) error { return os.RemoveAll(dir) })
	return dir, nil
}

// externalURL is where people reach this server.
func (a *App) externalURL() (*url.URL, error) {
	text := a.cfg.ExternalURL
	if text == "" {
		text = "http://" + a.httpAddr
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read web.external_url: %w", err)
	}
	return u, nil
}

// findTasks answers which tasks an alert is about.
func findTasks(questions *team.Questions) rule.Find {
	return rule.Remember(func(ctx context.Context, f rule.Filter, limit int) ([]rule.Example, error) {
		q := team.TaskQuery{Team: f.Team, Agent: f.Agent, Model: f.Model, Type: f.Type, Failed: f.Status == "failed", Since: f.Since, Limit: limit}
		if f.Status == "running" {
			q.Status = f.Status
		}
		page, err := questions.Tasks(ctx, signal.Project(f.Project), q)
		if err != nil {
			return nil, err
		}
		found := make([]rule.Example, 0, len(page.Tasks))
		for _, t := range page.Tasks {
			e := rule.Example{ID: t.ID}
			if t.Cause != nil {
				e.Agent, e.Error = t.Cause.Agent, t.Cause.Error
			}
			found = append(found, e)
		}
		return found, nil
	})
}
