package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/app"
	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/receive/otlp"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// serveApp is the server as everybody runs it, with every step on.
func serveApp(dir string) error {
	cfg := config.Default(func(string) string { return "" })
	cfg.Listen, cfg.OTLP.GRPC, cfg.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Data, cfg.Log.Level = dir, slog.LevelError
	a, err := app.New(cfg, app.Build{Version: "bench", Log: os.Stderr})
	if err != nil {
		return err
	}
	if err := a.Start(context.Background()); err != nil {
		return err
	}
	return serveUntilEnd(a.Addrs().OTLPHTTP+" "+a.Addrs().HTTP, dir, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return a.Stop(ctx)
	})
}

// servePlain is the baseline: the same receiver, and every span as a plain row of the same engine, without the steps
// between, without a log and with every text in its column.
func servePlain(dir string) error {
	if err := flag.CommandLine.Parse(nil); err != nil { // the engine reads flags
		return err
	}
	for name, value := range map[string]string{"loggerLevel": "WARN", "memory.allowedBytes": "256MiB"} {
		if err := flag.Set(name, value); err != nil {
			return err
		}
	}
	engine := logstorage.MustOpenStorage(filepath.Join(dir, "plain"), &logstorage.StorageConfig{
		Retention: 30 * 24 * time.Hour, FutureRetention: 48 * time.Hour, FlushInterval: 5 * time.Second,
		MinFreeDiskSpaceBytes: 100 << 20, DefaultParallelReaders: 2,
	})
	r, err := otlp.New(plain{engine}, slog.New(slog.DiscardHandler), otlp.Config{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	if err := r.Start(context.Background()); err != nil {
		return err
	}
	_, addr := r.Addrs()
	return serveUntilEnd(addr, dir, func() error {
		err := r.Stop(context.Background())
		engine.MustClose()
		return err
	})
}

// plain writes spans to the engine as they are.
type plain struct{ engine *logstorage.Storage }

func (p plain) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	var rejected signal.Rejected
	lr := logstorage.GetLogRows(nil, nil, nil, nil, "")
	defer logstorage.PutLogRows(lr)
	var fields []logstorage.Field
	rows := store.AppendSpanRows(nil, td)
	for i := range rows {
		n := lr.RowsCount()
		fields = plainFields(fields[:0], &rows[i])
		lr.MustAdd(logstorage.TenantID{}, rows[i].Time, fields, 2)
		if lr.RowsCount() == n {
			rejected.Add(1, "refused by the storage engine")
		}
		if lr.NeedFlush() {
			p.engine.MustAddRows(lr)
			lr.ResetKeepSettings()
		}
	}
	p.engine.MustAddRows(lr)
	return rejected, nil
}

// plainFields returns a row's columns; the first two name its stream.
func plainFields(dst []logstorage.Field, r *store.Row) []logstorage.Field {
	dst = append(dst, logstorage.Field{Name: store.FieldKind, Value: string(r.Kind)},
		logstorage.Field{Name: store.FieldService, Value: r.Text(store.FieldService)},
		logstorage.Field{Name: "id", Value: r.ID})
	for _, f := range r.Fields {
		if f.Name != store.FieldService {
			dst = append(dst, logstorage.Field{Name: strings.TrimPrefix(f.Name, "_"), Value: f.Value.Text()})
		}
	}
	return dst
}

func (plain) Logs(context.Context, signal.Project, plog.Logs) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (plain) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}
