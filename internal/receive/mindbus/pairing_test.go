package mindbus

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

var rewrite = flag.Bool("rewrite", false, "write the files in testdata anew")

// began is the time 0 of the files in testdata.
var began = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)

// TestPairing runs the files in testdata: what is seen on the bus, and after ---- what the tap tells of it.
//
//	at 1.5s             the clock; everything below happens then
//	msg KEY [corr=ID] [traceparent=…] [baggage=…] {…}
//	tick                look at the clock
//	yield ID producer|consumer
func TestPairing(t *testing.T) {
	names, err := filepath.Glob("testdata/*.test")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(raw), "\n----\n")
			got := play(t, in)
			if *rewrite {
				if err := os.WriteFile(name, []byte(in+"\n----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what is told (-want +got):\n%s", diff)
			}
		})
	}
}

// play runs a script and returns what was told, in order, with the counters at the end.
func play(t *testing.T, script string) string {
	t.Helper()
	cfg := Config{URL: "amqp://x/"}.withDefaults()
	out, counts := newWriter(cfg.Exchange), &counters{}
	p := newPairing(cfg, out, newHold(cfg.Hold, cfg.MaxHeld), counts)
	now := began
	p.beat = now
	var b strings.Builder
	names := &names{}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "", "#":
			continue
		case "at":
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatal(err)
			}
			now = began.Add(d)
		case "msg":
			p.take(parseDelivery(rest), now)
		case "tick":
			p.tick(now)
		case "yield":
			id, as, _ := strings.Cut(rest, " ")
			p.hold.yield(side{id, as == "consumer"}, now)
			p.hold.yield(side{id, as == "consumer"}, now)
		default:
			t.Fatalf("unknown line %q", line)
		}
		if told := tell(out, names); told != "" {
			fmt.Fprintf(&b, "at %s:\n%s", now.Sub(began), told)
		}
		out.reset()
	}
	p.drain(now)
	if told := tell(out, names); told != "" {
		fmt.Fprintf(&b, "at the end:\n%s", told)
	}
	fmt.Fprintf(&b, "messages %v answers %v yielded %d skewed %d dropped %d pending %d tasks %d\n", counts.messages, counts.answers,
		counts.yielded.Load(), counts.skewed.Load(), counts.dropped.Load(), len(p.pending), len(p.tasks))
	return b.String()
}

func parseDelivery(s string) Delivery {
	head, body, _ := strings.Cut(s, "{")
	d := Delivery{Exchange: "mindbus.main", Body: []byte("{" + body), Headers: map[string]string{}}
	for i, f := range strings.Fields(head) {
		k, v, ok := strings.Cut(f, "=")
		switch {
		case i == 0:
			d.Key = f
		case !ok:
			d.Body = []byte(f)
		case k == "corr":
			d.CorrelationID = v
		case k == "id":
			d.MessageID = v
		default:
			d.Headers[k] = v
		}
	}
	return d
}

// names gives ids short names, in the order in which they come up.
type names struct {
	known []string
}

func (n *names) of(id string) string {
	if strings.Trim(id, "0") == "" {
		return "-"
	}
	if strings.HasPrefix(id, "abcd") { // the script's own
		return id[:8]
	}
	i := slices.Index(n.known, id)
	if i < 0 {
		n.known = append(n.known, id)
		i = len(n.known) - 1
	}
	return fmt.Sprint("#", i+1)
}

func tell(w *writer, n *names) string {
	var b strings.Builder
	since := func(ts pcommon.Timestamp) time.Duration { return ts.AsTime().Sub(began) }
	for _, rs := range w.traces.ResourceSpans().All() {
		service, _ := rs.Resource().Attributes().Get("service.name")
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			fmt.Fprintf(&b, "  span %s %q of %s, trace %s, above %s, %s to %s, %s", n.of(hex.EncodeToString(id(s.SpanID()))), s.Name(),
				service.Str(), n.of(s.TraceID().String()), n.of(s.ParentSpanID().String()),
				since(s.StartTimestamp()), since(s.EndTimestamp()), s.Kind())
			if s.Status().Code() != 0 {
				fmt.Fprintf(&b, ", %s %q", s.Status().Code(), s.Status().Message())
			}
			b.WriteString("\n" + attributes(s.Attributes()))
		}
	}
	for _, rl := range w.logs.ResourceLogs().All() {
		service, _ := rl.Resource().Attributes().Get("service.name")
		for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
			fmt.Fprintf(&b, "  log %s of %s, trace %s, span %s, %s, %s: %s\n%s", r.EventName(), service.Str(), n.of(r.TraceID().String()),
				n.of(r.SpanID().String()), since(r.Timestamp()), r.SeverityNumber(), r.Body().AsString(), attributes(r.Attributes()))
		}
	}
	return b.String()
}

func id(s pcommon.SpanID) []byte { return s[:] }

// attributes leaves out what is the same everywhere.
func attributes(m pcommon.Map) string {
	var parts []string
	for k, v := range m.All() {
		if strings.HasPrefix(k, "cloudevents.") || k == "messaging.system" || k == "messaging.operation.name" ||
			k == "messaging.message.body.size" || k == "messaging.destination.template" || k == "messaging.destination.name" ||
			k == "ai_team.span.kind" || k == "ai_team.span.parent_id" {
			continue
		}
		if k == "ai_team.span.start_time_unix_nano" {
			v = pcommon.NewValueStr(time.Unix(0, v.Int()).UTC().Sub(began).String())
		}
		parts = append(parts, fmt.Sprintf("%s=%s", k, v.AsString()))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return "    " + strings.Join(parts, " ") + "\n"
}
