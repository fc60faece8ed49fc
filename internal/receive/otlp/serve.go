package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
)

// Report tells how one request ended, for metrics.
type Report struct {
	// Signal is traces, logs or metrics; Transport is grpc or http.
	Signal, Transport string
	Result            Result
	// Accepted counts the items that were stored, Rejected those refused for good, and Refused those of a request that
	// failed as a whole after it was read. They are spans, log records or data points.
	Accepted, Rejected, Refused int64
	// Bytes is the size of the decompressed message, 0 when it was not read.
	Bytes    int
	Duration time.Duration
}

// call is one request as a transport hands it over.
type call struct {
	endpoint  *endpoint
	transport string
	project   string
	enc       encoding
	// read returns the message, whose bytes it has taken from the lease. They are the caller's until free is called.
	read func(*lease) (body []byte, free func(), err error)
}

// serve is the way of every request: limits, project, message, Sink, answer. What it can't do is returned as an error
// that httpStatus and grpcStatus map. It reports each request once.
func (r *Receiver) serve(ctx context.Context, c call) (reply []byte, err error) {
	begin := time.Now()
	report := Report{Signal: c.endpoint.signal, Transport: c.transport}
	defer func() {
		if p := recover(); p != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "handler panicked", slog.String("signal", c.endpoint.signal),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			reply, err = nil, &failure{Internal, http.StatusInternalServerError, fmt.Errorf("internal error: %v", p)}
		}
		if report.Result = resultOf(err); err == nil && report.Rejected > 0 {
			report.Result = Partial
		}
		if err == nil {
			report.Accepted = max(report.Accepted-report.Rejected, 0)
		} else {
			report.Refused, report.Accepted, report.Rejected = report.Accepted, 0, 0
		}
		report.Duration = time.Since(begin)
		r.observe(report)
	}()

	share, err := r.limits.begin()
	if err != nil {
		return nil, err
	}
	defer share.end()
	project, err := signal.ParseProject(c.project)
	if err != nil {
		return nil, invalid(err)
	}
	body, free, err := c.read(share)
	if err != nil {
		return nil, err
	}
	report.Bytes = len(body)
	b, err := c.endpoint.decode(body, c.enc)
	free()
	if err != nil {
		return nil, invalid(err)
	}
	report.Accepted = b.items
	var rejected signal.Rejected
	if b.items > 0 {
		rejected, err = b.write(signal.WithProject(ctx, project), r.next, project)
	}
	b.release() // not after a panic, which leaves unknown who still holds what
	if err != nil {
		return nil, err
	}
	report.Rejected = rejected.Items
	return c.endpoint.answer(rejected, c.enc)
}
