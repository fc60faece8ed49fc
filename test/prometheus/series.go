package prometheus

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// instances are the machines of the demonstration that the queries were written for.
func instances() []string {
	return []string{"demo.promlabs.com:10000", "demo.promlabs.com:10001", "demo.promlabs.com:10002"}
}

// series makes the series that the queries ask for: three quarters of an hour of samples up to end, every 15 s, of a fixed seed.
func series(end time.Time) []prompb.TimeSeries {
	rnd := rand.New(rand.NewPCG(1, 2))
	start := end.Add(-45 * time.Minute)
	var all []prompb.TimeSeries
	add := func(value func(i int) float64, name string, pairs ...string) {
		ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}}
		for i := 0; i < len(pairs); i += 2 { // callers give them sorted
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		for i := range 180 {
			if v := value(i); !math.IsInf(v, -1) { // no sample
				ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: start.Add(time.Duration(i) * 15 * time.Second).UnixMilli(), Value: v})
			}
		}
		all = append(all, ts)
	}
	counter := func(rate float64) func(int) float64 {
		sum := 0.0
		return func(i int) float64 {
			sum += rate * rnd.Float64()
			if i == 90 {
				sum = 0 // a reset
			}
			return sum
		}
	}
	gauge := func(base float64) func(int) float64 {
		return func(int) float64 { return base * (1 + 0.2*rnd.NormFloat64()) }
	}
	for n, instance := range instances() {
		for _, kind := range []string{"buffers", "cached", "free", "used"} {
			add(gauge(1e9*float64(n+1)), "demo_memory_usage_bytes", "instance", instance, "job", "demo", "type", kind)
		}
		for _, mode := range []string{"idle", "system", "user"} {
			add(counter(10), "demo_cpu_usage_seconds_total", "instance", instance, "job", "demo", "mode", mode)
		}
		add(func(int) float64 { return float64(4 * (n + 1)) }, "demo_num_cpus", "instance", instance, "job", "demo")
		add(gauge(5e10), "demo_disk_usage_bytes", "instance", instance, "job", "demo")
		add(func(i int) float64 { return float64(start.Unix() + int64(i/20*300)) }, "demo_batch_last_success_timestamp_seconds", "instance", instance, "job", "demo")
		add(func(i int) float64 {
			if i/20%2 == 0 {
				return 1
			}
			return math.Inf(-1)
		}, "demo_intermittent_metric", "instance", instance, "job", "demo")
		for _, method := range []string{"GET", "POST"} {
			below := make([]float64, 180)
			for _, le := range []float64{0.0001, 0.001, 0.01, 0.1, 1, math.Inf(1)} {
				c := counter(3)
				add(func(i int) float64 {
					below[i] += c(i)
					return below[i]
				}, "demo_api_request_duration_seconds_bucket", "instance", instance, "job", "demo", "le", bound(le), "method", method, "path", "/api/foo", "status", "200")
			}
		}
	}
	return all
}

func bound(le float64) string {
	if math.IsInf(le, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(le, 'f', -1, 64)
}

// write sends series by remote write, version 1.
func write(t testing.TB, server string, all []prompb.TimeSeries) {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: all}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		t.Fatalf("remote write to %s: %s %s", server, resp.Status, body.String())
	}
}

// contractSeries are series of the contract as a stranger's remote write brings them.
func contractSeries(t testing.TB) []prompb.TimeSeries {
	t.Helper()
	return []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "ai_team_tasks_total"}, {Name: "status", Value: "completed"}},
		Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1000}},
	}}
}
