package rule

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/cluster"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// AlertmanagerConfig is how alerts are delivered.
type AlertmanagerConfig struct {
	// File is the path of an alertmanager.yml; "" delivers to nobody, and the API still shows and silences alerts.
	File string
	// Dir is where silences and the log of notifications are kept.
	Dir string
	// Prefix is the path below which Handler serves, as /alertmanager.
	Prefix string
	// ExternalURL is where people reach this server; it is in notifications.
	ExternalURL *url.URL
	// Cluster is how it delivers together with others.
	Cluster    ClusterConfig
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Alertmanager's own periods.
const (
	keepNotifications = 120 * time.Hour
	maintenance       = 15 * time.Minute
	alertGC           = 30 * time.Minute
	dispatchGC        = 30 * time.Second
)

// nobody is the alertmanager.yml that holds when there is none.
const nobody = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"

// Alertmanager groups, silences, inhibits and delivers alerts as an Alertmanager does. What it knows of silences and of
// notifications that were sent survives a restart.
type Alertmanager struct {
	cfg           AlertmanagerConfig
	started       time.Time
	alerts        *mem.Alerts
	silences      *silence.Silences
	silencer      *silence.Silencer
	notifications *nflog.Log
	groups        marker.GroupMarker
	pipelines     *notify.PipelineBuilder
	api           *api.API
	handler       http.Handler
	recorder      eventrecorder.Recorder
	metrics       *dispatch.DispatcherMetrics
	peer          *cluster.Peer // nil for one that is alone
	dirty         chan struct{}

	apply      sync.Mutex // one reload at a time
	dispatcher atomic.Pointer[dispatch.Dispatcher]
	inhibitor  atomic.Pointer[inhibit.Inhibitor]

	stop    chan struct{}
	running sync.WaitGroup
}

// StartAlertmanager opens what is kept and starts delivering by the configuration file.
func StartAlertmanager(cfg AlertmanagerConfig) (*Alertmanager, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder of alerts: %w", err)
	}
	a := &Alertmanager{cfg: cfg, started: time.Now(), groups: marker.NewGroupMarker(), recorder: eventrecorder.NopRecorder(), stop: make(chan struct{}), dirty: make(chan struct{}, 1)}
	if err := a.open(); err != nil {
		return nil, err
	}
	if err := a.Reload(); err != nil {
		a.Stop()
		return nil, err
	}
	return a, nil
}

// open makes the parts that outlive a reload.
func (a *Alertmanager) open() error {
	cfg, flags := a.cfg, featurecontrol.NoopFlags{}
	err := a.joinCluster()
	if err != nil {
		return err
	}
	logFile, silenceFile := filepath.Join(cfg.Dir, "nflog"), filepath.Join(cfg.Dir, "silences")
	a.notifications, err = nflog.New(nflog.Options{
		SnapshotFile: logFile, Retention: keepNotifications, Logger: cfg.Logger.With("component", "nflog"), Metrics: cfg.Registerer,
	})
	if err != nil {
		return fmt.Errorf("open log of notifications: %w", err)
	}
	a.silences, err = silence.New(silence.Options{
		SnapshotFile: silenceFile, Retention: keepNotifications, Logger: cfg.Logger.With("component", "silences"), Metrics: cfg.Registerer,
		EventRecorder: a.recorder,
	})
	if err != nil {
		return fmt.Errorf("open silences: %w", err)
	}
	a.silencer = silence.NewSilencer(a.silences, cfg.Logger, a.recorder)
	a.alerts, err = mem.NewAlerts(context.Background(), alertGC, 0, a.silencer, cfg.Logger, a.recorder, cfg.Registerer, flags)
	if err != nil {
		return fmt.Errorf("make store of alerts: %w", err)
	}
	a.pipelines = notify.NewPipelineBuilder(cfg.Registerer, flags, a.recorder)
	a.metrics = dispatch.NewDispatcherMetrics(false, cfg.Registerer, flags)
	var peer cluster.ClusterPeer // an interface of a nil *Peer is not nil
	if a.peer != nil {
		peer = a.peer
	}
	a.api, err = api.New(api.Options{
		Peer:   peer,
		Alerts: a.alerts, Silences: a.silences, GroupMutedFunc: a.groups.Muted, Logger: cfg.Logger.With("component", "alerts api"),
		Registry: cfg.Registerer, RequestDuration: requestDuration(cfg.Registerer), GroupFunc: a.groupsNow,
	})
	if err != nil {
		a.alerts.Close()
		return fmt.Errorf("make API of alerts: %w", err)
	}
	a.handler = a.api.Register(route.New(), cfg.Prefix)
	a.share()
	a.running.Go(func() { a.notifications.Maintenance(maintenance, logFile, a.stop, nil) })
	a.running.Go(func() { a.silences.Maintenance(maintenance, silenceFile, a.stop, nil) })
	return nil
}

func requestDuration(reg prometheus.Registerer) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "alertmanager_http_request_duration_seconds", Help: "Latency of requests to the API of alerts.",
		Buckets: []float64{0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 20, 60},
	}, []string{"handler", "method", "code"})
	reg.MustRegister(h)
	return h
}

func (a *Alertmanager) groupsNow(ctx context.Context, routes func(*dispatch.Route) bool, alerts func(*alert.Alert, time.Time) bool) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	return a.dispatcher.Load().Groups(ctx, routes, alerts)
}

// Handler serves the API, version 2, below Prefix: amtool speaks it.
func (a *Alertmanager) Handler() http.Handler { return a.handler }

// Reload reads the configuration file and puts it in force. After an error what was in force stays.
func (a *Alertmanager) Reload() error {
	apply, err := a.Prepare()
	if err != nil {
		return err
	}
	apply()
	return nil
}

// Prepare reads the configuration file with all it names and makes what it describes, and changes nothing; apply puts that in force.
func (a *Alertmanager) Prepare() (apply func(), err error) {
	conf, err := a.read()
	if err != nil {
		return nil, err
	}
	next, err := a.build(conf)
	if err != nil {
		return nil, err
	}
	return func() { a.use(conf, next) }, nil
}

// use ends the old parts; the new ones read all alerts, and only then are asked.
func (a *Alertmanager) use(conf *config.Config, next *delivery) {
	a.apply.Lock()
	defer a.apply.Unlock()
	if old := a.inhibitor.Load(); old != nil {
		old.Stop()
	}
	if old := a.dispatcher.Load(); old != nil {
		old.Stop()
	}
	inhibitor := inhibit.NewInhibitor(a.alerts, conf.InhibitRules, a.cfg.Logger, a.recorder)
	var peer notify.Peer
	if a.peer != nil {
		peer = a.peer
	}
	pipeline := a.pipelines.New(next.receivers, a.wait, inhibitor, a.silencer, next.intervals, a.groups, a.notifications, peer)
	a.api.Update(conf, func(ctx context.Context, ls model.LabelSet) {
		a.inhibitor.Load().Mutes(ctx, ls)
		a.silencer.Mutes(ctx, ls)
	})
	dispatcher := dispatch.NewDispatcher(a.alerts, next.routes, pipeline, a.groups,
		func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) + a.wait() },
		dispatchGC, nil, a.cfg.Logger, a.recorder, a.metrics, next.template)
	a.running.Go(inhibitor.Run)
	inhibitor.WaitForLoading()
	a.inhibitor.Store(inhibitor)
	a.running.Go(func() { dispatcher.Run(a.started) })
	dispatcher.WaitForLoading()
	a.dispatcher.Store(dispatcher)
}

func (a *Alertmanager) read() (*config.Config, error) {
	if a.cfg.File == "" {
		return config.Load(nobody)
	}
	conf, err := config.LoadFile(a.cfg.File)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a.cfg.File, err)
	}
	return conf, nil
}

// delivery is what a configuration describes.
type delivery struct {
	template  *template.Template
	routes    *dispatch.Route
	receivers map[string][]notify.Integration
	intervals *timeinterval.Intervener
}

// build makes everything that can fail.
func (a *Alertmanager) build(conf *config.Config) (*delivery, error) {
	d := &delivery{receivers: map[string][]notify.Integration{}}
	var err error
	if d.template, err = template.FromGlobs(conf.Templates); err != nil {
		return nil, fmt.Errorf("read templates of %s: %w", a.cfg.File, err)
	}
	d.template.ExternalURL = a.cfg.ExternalURL
	d.routes = dispatch.NewRoute(conf.Route, nil)
	used := map[string]bool{}
	d.routes.Walk(func(r *dispatch.Route) { used[r.RouteOpts.Receiver] = true })
	for _, r := range conf.Receivers {
		if !used[r.Name] {
			continue
		}
		if d.receivers[r.Name], err = receiver.BuildReceiverIntegrations(r, d.template, a.cfg.Logger); err != nil {
			return nil, fmt.Errorf("build receiver %s of %s: %w", r.Name, a.cfg.File, err)
		}
	}
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, t := range conf.MuteTimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	for _, t := range conf.TimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	d.intervals = timeinterval.NewIntervener(intervals)
	return d, nil
}

// Put takes alerts of the rule manager: those that fire, and those that ended.
func (a *Alertmanager) Put(ctx context.Context, alerts []*rules.Alert, generatorURL string) error {
	now := time.Now()
	put := make([]*alert.Alert, 0, len(alerts))
	for _, r := range alerts {
		one := &alert.Alert{
			Alert: model.Alert{
				Labels: labelSet(r.Labels), Annotations: labelSet(r.Annotations),
				StartsAt: r.FiredAt, EndsAt: r.ValidUntil, GeneratorURL: generatorURL,
			},
			UpdatedAt: now,
		}
		if !r.ResolvedAt.IsZero() {
			one.EndsAt = r.ResolvedAt
		}
		put = append(put, one)
	}
	if err := a.alerts.Put(ctx, put...); err != nil {
		return fmt.Errorf("take alerts: %w", err)
	}
	return nil
}

func labelSet(ls labels.Labels) model.LabelSet {
	set := make(model.LabelSet, ls.Len())
	ls.Range(func(l labels.Label) { set[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return set
}

// Stop ends the deliveries, writes down what must survive and waits.
func (a *Alertmanager) Stop() {
	if i := a.inhibitor.Load(); i != nil {
		i.Stop()
	}
	if d := a.dispatcher.Load(); d != nil {
		d.Stop()
	}
	close(a.stop)
	a.leaveCluster()
	a.running.Wait()
	a.alerts.Close()
}
