package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/mindscope/mindscope/internal/signal"
)

func dial(t *testing.T, r *Receiver, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	addr, _ := r.Addrs()
	cc, err := grpc.NewClient(addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func describe(err error) string {
	if err == nil {
		return "ok\n"
	}
	st := status.Convert(err)
	out := fmt.Sprintf("%s %q\n", st.Code(), st.Message())
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			out += fmt.Sprintf("retry after %v\n", info.GetRetryDelay().AsDuration())
		}
	}
	return out
}

func TestGRPCAnswers(t *testing.T) {
	next := &sink{}
	seen := &reports{}
	r := start(t, next, Config{MaxMessageBytes: mib, Observe: seen.add})
	cc := dial(t, r)
	var out strings.Builder
	note := func(name, answer string) {
		fmt.Fprintf(&out, "== %s\n%s", name, answer)
		reports := seen.take()
		// gRPC may answer before the call is over for the server: a report can be a moment late.
		for deadline := time.Now().Add(10 * time.Second); len(reports) == 0 && name != "unknown service" && time.Now().Before(deadline); {
			runtime.Gosched()
			reports = seen.take()
		}
		for _, rep := range reports {
			fmt.Fprintf(&out, "counted: %s %s %s accepted %d rejected %d refused %d\n", rep.Transport, rep.Signal, rep.Result, rep.Accepted, rep.Rejected, rep.Refused)
		}
		out.WriteByte('\n')
	}
	traces := func(name string, ctx context.Context, req ptraceotlp.ExportRequest, opts ...grpc.CallOption) {
		resp, err := ptraceotlp.NewGRPCClient(cc).Export(ctx, req, opts...)
		answer := describe(err)
		if err == nil {
			answer += fmt.Sprintf("rejected %d %q\n", resp.PartialSuccess().RejectedSpans(), resp.PartialSuccess().ErrorMessage())
		}
		note(name, answer)
	}
	raw := func(name, method string, body []byte, opts ...grpc.CallOption) {
		in, reply := &frame{buf: mem.SliceBuffer(body)}, &frame{}
		err := cc.Invoke(t.Context(), method, in, reply, append(opts, grpc.ForceCodecV2(codec{}))...)
		note(name, describe(err))
	}
	answer := func(f func(context.Context, int) (signal.Rejected, error)) {
		next.mu.Lock()
		next.answer = f
		next.mu.Unlock()
	}
	const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	ctx := t.Context()

	traces("traces", ctx, spans(2))
	traces("traces, gzip", ctx, spans(2), grpc.UseCompressor("gzip"))
	traces("traces, zstd", ctx, spans(2), grpc.UseCompressor("zstd"))
	traces("empty request", ctx, spans(0))
	logs := plogotlp.NewExportRequest()
	logs.Logs().ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	_, err := plogotlp.NewGRPCClient(cc).Export(ctx, logs)
	note("logs", describe(err))
	metrics := pmetricotlp.NewExportRequest()
	metrics.Metrics().ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	_, err = pmetricotlp.NewGRPCClient(cc).Export(ctx, metrics)
	note("metrics", describe(err))

	answer(func(_ context.Context, items int) (signal.Rejected, error) {
		return signal.Rejected{Items: int64(items - 1), Reasons: []string{"outside retention", "bad \xff"}}, nil
	})
	traces("partial success", ctx, spans(3))
	fail := func(err error) {
		answer(func(context.Context, int) (signal.Rejected, error) { return signal.Rejected{}, err })
	}
	fail(signal.Permanent(errors.New("project was deleted \xff")))
	traces("permanent error", ctx, spans(3))
	fail(signal.Retryable(errors.New("the store is read-only"), 1500*time.Millisecond))
	traces("retryable error", ctx, spans(3))
	fail(errors.New("sync log: input/output error"))
	traces("any other error", ctx, spans(3))
	answer(func(context.Context, int) (signal.Rejected, error) { panic("boom") })
	traces("panic", ctx, spans(3))
	answer(nil)

	raw("malformed protobuf", export, []byte("\x0a\xff\xff"))
	raw("unknown service", "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", nil)
	raw("too large", export, bytes.Repeat([]byte{'x'}, 2*mib))
	raw("too large, decompressed from gzip", export, bytes.Repeat([]byte{'x'}, 2*mib), grpc.UseCompressor("gzip"))
	raw("too large, decompressed from zstd", export, bytes.Repeat([]byte{'x'}, 2*mib), grpc.UseCompressor("zstd"))
	traces("project", metadata.AppendToOutgoingContext(ctx, projectKey, "newsroom"), spans(1))
	if next.project != "newsroom" {
		t.Errorf("project %q, want newsroom", next.project)
	}
	traces("bad project", metadata.AppendToOutgoingContext(ctx, projectKey, "News Room"), spans(1))
	golden(t, "grpc.golden", []byte(out.String()))
}
