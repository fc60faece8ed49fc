package fill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// logBatch is how many records are written at once, logTask how many belong to a task.
const (
	logBatch = 2000
	logTask  = 40
)

// Logs fills a store in dir with n log records of a team of four agents that lie evenly in the time before end.
func Logs(ctx context.Context, dir string, n int, span time.Duration, end time.Time) (err error) {
	db, err := eventdb.Open(dir, eventdb.Config{RecentWindow: 2 * span})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w := &logWriter{rng: rand.New(rand.NewPCG(7, 7)), begin: end.Add(-span), every: span / time.Duration(n)}
	for done := 0; done < n; done += logBatch {
		rejected, err := db.Write(ctx, signal.DefaultProject, store.AppendLogRows(nil, w.batch(done, min(logBatch, n-done))))
		if err != nil {
			return err
		}
		if rejected.Items > 0 {
			return fmt.Errorf("%d records were rejected: %v", rejected.Items, rejected)
		}
	}
	return nil
}

type logWriter struct {
	rng   *rand.Rand
	begin time.Time
	every time.Duration
}

// severities are drawn from: most records are informational.
var severities = []plog.SeverityNumber{
	plog.SeverityNumberDebug, plog.SeverityNumberInfo, plog.SeverityNumberInfo, plog.SeverityNumberInfo,
	plog.SeverityNumberInfo, plog.SeverityNumberInfo, plog.SeverityNumberWarn, plog.SeverityNumberError,
}

func (w *logWriter) batch(first, n int) plog.Logs {
	ld := plog.NewLogs()
	byAgent := map[string]plog.LogRecordSlice{}
	for i := first; i < first+n; i++ {
		agent := []string{"orchestrator", "researcher", "writer", "critic"}[w.rng.IntN(4)]
		records, ok := byAgent[agent]
		if !ok {
			rl := ld.ResourceLogs().AppendEmpty()
			rl.Resource().Attributes().PutStr("service.name", agent)
			rl.Resource().Attributes().PutStr("service.namespace", "newsroom")
			records = rl.ScopeLogs().AppendEmpty().LogRecords()
			byAgent[agent] = records
		}
		w.record(records.AppendEmpty(), i, agent)
	}
	return ld
}

func (w *logWriter) record(rec plog.LogRecord, i int, agent string) {
	task := i / logTask
	rec.SetTimestamp(pcommon.NewTimestampFromTime(w.begin.Add(time.Duration(i) * w.every)))
	rec.SetSeverityNumber(severities[w.rng.IntN(len(severities))])
	rec.SetSeverityText(rec.SeverityNumber().String())
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[:], uint64(task)*0x9e3779b97f4a7c15+1)
	rec.SetTraceID(trace)
	attrs := rec.Attributes()
	attrs.PutStr("mindscope.team", "newsroom")
	attrs.PutStr("mindscope.agent", agent)
	attrs.PutStr("mindscope.task_id", fmt.Sprintf("task-%d", task))
	attrs.PutInt("attempt", int64(w.rng.IntN(3)))
	took := w.rng.IntN(5000)
	if i%3 == 0 {
		rec.Body().SetStr(fmt.Sprintf(`{"msg":"call of model ended","model":"gpt-4o","took":"%dms","tokens":%d,"request":"%x"}`, took, w.rng.IntN(4000), w.rng.Uint64()))
		return
	}
	rec.Body().SetStr(fmt.Sprintf("draft %d of the article was written in %dms, request %x: %s", i%7, took, w.rng.Uint64(),
		[]string{"accepted", "sent back to the writer", "waits for the critic", "the sources were checked"}[w.rng.IntN(4)]))
}
