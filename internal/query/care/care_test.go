package care

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/internal/store/memdb"
)

const secret = "sk-live-0123456789abcdef"

// team writes three traces: t1 of task A and user ann; t2 shared by the tasks A and B, without a user; t3 of task C and
// user bob, with a log record that is ann's.
func team(t *testing.T, events store.Events) {
	t.Helper()
	now := time.Now().Add(-time.Hour).UnixNano()
	n := 0
	row := func(k store.Kind, trace string, fields ...string) store.Row {
		n++
		r := store.Row{Kind: k, ID: fmt.Sprintf("%032d.%016d", n, n), Time: now + int64(n)}
		r.Add(store.FieldTraceID, store.String(fmt.Sprintf("%032s", trace)))
		r.Add(store.FieldService, store.String("team"))
		if k == store.KindSpan {
			r.Add(store.FieldSpanID, store.String(fmt.Sprintf("%016d", n)))
			r.Add(store.FieldName, store.String("work"))
			r.Add(store.FieldEnd, store.Int(now+int64(n)+1))
		}
		for i := 0; i < len(fields); i += 2 {
			r.Add(fields[i], store.String(fields[i+1]))
		}
		return r
	}
	long := strings.Repeat("a long prompt with "+secret+" in it. ", 40)
	rows := []store.Row{
		row(store.KindSpan, "1", store.FieldTaskID, "A", store.FieldUser, "ann"),
		row(store.KindSpan, "1", store.FieldTaskID, "A", "attr.prompt", long),
		row(store.KindSpan, "1"),
		row(store.KindLog, "1", store.FieldBody, "token="+secret),
		row(store.KindSpan, "2", store.FieldTaskID, "A"),
		row(store.KindSpan, "2", store.FieldTaskID, "B", "attr.prompt", long),
		row(store.KindSpan, "3", store.FieldTaskID, "C", store.FieldUser, "bob"),
		row(store.KindLog, "3", store.FieldTaskID, "C", store.FieldUser, "ann"),
		row(store.KindSpan, "4", store.FieldTaskID, "D"),
	}
	if rejected, err := events.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
}

// onBoth runs a test on the oracle and on the engine.
func onBoth(t *testing.T, f func(t *testing.T, events store.Events)) {
	t.Run("memory", func(t *testing.T) { f(t, memdb.New(memdb.Config{})) })
	t.Run("folder", func(t *testing.T) {
		db, err := eventdb.Open(t.TempDir(), eventdb.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		f(t, flushing{db})
	})
}

// flushing makes written rows visible at once.
type flushing struct{ *eventdb.DB }

func (f flushing) Write(ctx context.Context, p signal.Project, rows []store.Row) (signal.Rejected, error) {
	rejected, err := f.DB.Write(ctx, p, rows)
	return rejected, errors.Join(err, f.Flush())
}

func (f flushing) Replace(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) (store.Replaced, error) {
	done, err := f.DB.Replace(ctx, p, k, rows)
	return done, errors.Join(err, f.Flush())
}

// texts returns all that the store holds of a kind, one text a row.
func texts(t *testing.T, events store.Events, k store.Kind) []string {
	t.Helper()
	var out []string
	q := store.Select{Scope: store.Scope{Kind: k, Time: signal.AllTime()}, Order: store.OldestFirst}
	for r, err := range events.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range r.Fields {
			all = append(all, f.Name+"="+f.Value.Text())
		}
		slices.Sort(all)
		out = append(out, strings.Join(all, "\n"))
	}
	return out
}

func TestDelete(t *testing.T) {
	f := func(target Target, spans, logs int64) {
		t.Helper()
		t.Run(target.String(), func(t *testing.T) {
			onBoth(t, func(t *testing.T, events store.Events) {
				team(t, events)
				c := New(events, nil)
				want := map[store.Kind]int64{}
				if spans > 0 {
					want[store.KindSpan] = spans
				}
				if logs > 0 {
					want[store.KindLog] = logs
				}
				for _, dry := range []bool{true, false} {
					r, err := c.Delete(t.Context(), signal.DefaultProject, target, dry)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, r.Rows); diff != "" || r.DryRun != dry || len(r.MayRemain) == 0 {
						t.Errorf("dry run %v: %+v\n%s", dry, r, diff)
					}
				}
				if got := int64(len(texts(t, events, store.KindSpan))); got != 7-spans {
					t.Errorf("%d spans are left", got)
				}
				if got := int64(len(texts(t, events, store.KindLog))); got != 2-logs {
					t.Errorf("%d log records are left", got)
				}
				if _, err := c.Delete(t.Context(), signal.DefaultProject, target, false); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("a second time: %v", err)
				}
			})
		})
	}
	f(Target{Task: "A"}, 4, 1)   // the whole trace 1, and its span of the shared trace 2
	f(Target{User: "ann"}, 4, 2) // the traces 1 and 3 with their logs
	f(Target{Trace: fmt.Sprintf("%032s", "2")}, 2, 0)
}

// TestDeleteOfWhatHasOnlyBegun: a trace of which only start records are there goes whole with its user or task, and stays
// in part where another task runs in it.
func TestDeleteOfWhatHasOnlyBegun(t *testing.T) {
	f := func(target Target, want int64) {
		t.Helper()
		t.Run(target.String(), func(t *testing.T) {
			onBoth(t, func(t *testing.T, events store.Events) {
				var rows []store.Row
				for i, fields := range [][]string{
					{"1", store.FieldUser, "ann", store.FieldTaskID, "A"}, {"1"}, // the second names neither
					{"2", store.FieldTaskID, "A"}, {"2", store.FieldTaskID, "B"},
				} {
					r := store.Row{Kind: store.KindStart, ID: fmt.Sprint(i), Time: time.Now().UnixNano()}
					r.Add(store.FieldTraceID, store.String(fmt.Sprintf("%032s", fields[0])))
					for j := 1; j < len(fields); j += 2 {
						r.Add(fields[j], store.String(fields[j+1]))
					}
					rows = append(rows, r)
				}
				if rejected, err := events.Write(t.Context(), signal.DefaultProject, rows); err != nil || rejected.Items > 0 {
					t.Fatal(rejected, err)
				}
				r, err := New(events, nil).Delete(t.Context(), signal.DefaultProject, target, false)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[store.Kind]int64{store.KindStart: want}, r.Rows); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
	f(Target{User: "ann"}, 2)
	f(Target{Task: "A"}, 3)
	f(Target{Task: "B"}, 1)
}

func TestTargets(t *testing.T) {
	c := New(memdb.New(memdb.Config{}), nil)
	f := func(target Target) {
		t.Helper()
		if _, err := c.Delete(t.Context(), signal.DefaultProject, target, true); !signal.IsPermanent(err) {
			t.Errorf("%+v: %v", target, err)
		}
	}
	f(Target{})
	f(Target{Task: "a", User: "b"})
	f(Target{User: "a", Team: "b"})
	f(Target{Trace: strings.Repeat("x", maxID+1)})
}

func TestScrub(t *testing.T) {
	onBoth(t, func(t *testing.T, events store.Events) {
		team(t, events)
		c := New(events, nil)
		before := slices.Concat(texts(t, events, store.KindSpan), texts(t, events, store.KindLog))
		s := Scrub{Match: `sk-live-[0-9a-f]+`, Time: signal.AllTime(), DryRun: true}
		want := map[store.Kind]int64{store.KindSpan: 2, store.KindLog: 1}
		for range 2 {
			r, err := c.Scrub(t.Context(), signal.DefaultProject, s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, r.Rows); diff != "" {
				t.Error(diff)
			}
			s.DryRun = false
		}
		after := slices.Concat(texts(t, events, store.KindSpan), texts(t, events, store.KindLog))
		for i := range before {
			before[i] = strings.ReplaceAll(before[i], secret, Scrubbed)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("rows differ (-want +got):\n%s", diff)
		}
		r, err := c.Scrub(t.Context(), signal.DefaultProject, s)
		if err != nil || r.Total() != 0 {
			t.Errorf("a second time: %+v, %v", r, err)
		}
	})
}

// meanwhile does something before each Replace, which may refuse it.
type meanwhile struct {
	store.Events
	do func(call int) error
	n  *int
}

func (m meanwhile) Replace(ctx context.Context, p signal.Project, k store.Kind, rows []store.Row) (store.Replaced, error) {
	*m.n++
	if err := m.do(*m.n); err != nil {
		return store.Replaced{}, err
	}
	return m.Events.Replace(ctx, p, k, rows)
}

// scrubSecret scrubs everything while something happens.
func scrubSecret(t *testing.T, events store.Events, do func(call int) error) (*Receipt, error) {
	t.Helper()
	c := New(meanwhile{events, do, new(int)}, nil)
	return c.Scrub(t.Context(), signal.DefaultProject, Scrub{Match: `sk-live-[0-9a-f]+`, Time: signal.AllTime()})
}

// inPart answers for a part of the store: rows come without what the other part has, which it says at the end.
type inPart struct{ store.Events }

func (s inPart) Select(ctx context.Context, p signal.Project, q store.Select) iter.Seq2[*store.Row, error] {
	return func(yield func(*store.Row, error) bool) {
		for r, err := range s.Events.Select(ctx, p, q) {
			if q.Kind == store.KindSpan && q.Filter != nil {
				r = &store.Row{Kind: r.Kind, ID: r.ID, Time: r.Time}
				r.Add("attr.padding", store.String(strings.Repeat("x", bytesPerScrub)))
			}
			if !yield(r, err) {
				return
			}
		}
		if q.Kind == store.KindSpan && q.Filter != nil {
			yield(nil, store.ErrPartial)
		}
	}
}

// TestScrubOfAPart: rows that could not be read whole are not written in place of the whole ones.
func TestScrubOfAPart(t *testing.T) {
	events := memdb.New(memdb.Config{})
	team(t, events)
	want := texts(t, events, store.KindSpan)
	if _, err := scrubSecret(t, inPart{events}, func(int) error { return nil }); !errors.Is(err, store.ErrPartial) {
		t.Errorf("scrubbed: %v", err)
	}
	if diff := cmp.Diff(want, texts(t, events, store.KindSpan)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

// TestScrubLosesNoRow stops a scrub in the middle: each row is as it was or rewritten, and the next scrub does the rest.
func TestScrubLosesNoRow(t *testing.T) {
	onBoth(t, func(t *testing.T, events store.Events) {
		team(t, events)
		both := func() []string {
			return slices.Concat(texts(t, events, store.KindSpan), texts(t, events, store.KindLog))
		}
		want := both()
		r, err := scrubSecret(t, events, func(call int) error {
			if call == 2 { // the spans are done, the records are not
				return store.ErrReadOnly
			}
			return nil
		})
		if r != nil || !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%+v, %v", r, err)
		}
		for i := range want[:7] {
			want[i] = strings.ReplaceAll(want[i], secret, Scrubbed)
		}
		if diff := cmp.Diff(want, both()); diff != "" {
			t.Errorf("rows differ (-want +got):\n%s", diff)
		}
		if r, err = scrubSecret(t, events, func(int) error { return nil }); err != nil || r.Total() != 1 {
			t.Errorf("again: %+v, %v", r, err)
		}
		if got := strings.Join(both(), "\n"); strings.Contains(got, secret) {
			t.Errorf("the secret is there still:\n%s", got)
		}
	})
}

// TestScrubCountsExpired: a row that its retention overtakes during a scrub goes, is counted apart, and stops nothing.
func TestScrubCountsExpired(t *testing.T) {
	now := time.Now()
	clock := now
	events := memdb.New(memdb.Config{Clock: func() time.Time { return clock }, Retention: time.Hour})
	team(t, events)
	old := store.Row{Kind: store.KindSpan, ID: "old", Time: now.Add(-2 * time.Hour).UnixNano()}
	old.Add("attr.key", store.String(secret))
	clock = now.Add(-90 * time.Minute)
	if rejected, err := events.Write(t.Context(), signal.DefaultProject, []store.Row{old}); err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
	r, err := scrubSecret(t, events, func(int) error {
		clock = now.Add(-30 * time.Minute)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[store.Kind]int64{store.KindSpan: 2, store.KindLog: 1}, r.Rows); diff != "" || r.Expired != 1 {
		t.Errorf("%d expired, rows differ (-want +got):\n%s", r.Expired, diff)
	}
	if got := texts(t, events, store.KindSpan); len(got) != 7 || strings.Contains(strings.Join(got, "\n"), secret) {
		t.Errorf("%d spans: %q", len(got), got)
	}
}

// TestScrubBesideWriters: a row that gets a new revision while it is scrubbed keeps that, and it is scrubbed, too.
func TestScrubBesideWriters(t *testing.T) {
	task := func(rev int64) store.Row {
		r := store.Row{Kind: store.KindTask, ID: "T", Time: time.Now().Add(-time.Hour).UnixNano()}
		r.Add(store.FieldRevision, store.Int(rev))
		r.Add("attr.key", store.String(fmt.Sprintf("%s of %d", secret, rev)))
		return r
	}
	f := func(writes int, want string) {
		t.Helper()
		events := memdb.New(memdb.Config{})
		revise := func(rev int) error {
			_, err := events.Write(t.Context(), signal.DefaultProject, []store.Row{task(int64(rev))})
			return err
		}
		if err := revise(1); err != nil {
			t.Fatal(err)
		}
		r, err := scrubSecret(t, events, func(call int) error {
			if call <= writes {
				return revise(call + 1)
			}
			return nil
		})
		if (err == nil) != (writes < scrubRounds) || err == nil && r.Total() != 1 {
			t.Errorf("%d new revisions: %+v, %v", writes, r, err)
		}
		if got := texts(t, events, store.KindTask); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%d new revisions: %q, want %q in it", writes, got, want)
		}
	}
	f(0, Scrubbed+" of 1")
	f(1, Scrubbed+" of 2")
	f(scrubRounds, fmt.Sprint(secret, " of ", scrubRounds+1)) // it is told that it stays
}

func TestScrubValues(t *testing.T) {
	re := regexp.MustCompile(`s3cret"?`)
	f := func(v, want store.Value) {
		t.Helper()
		if got, _ := scrubValue(v, re); got != want {
			t.Errorf("%v %q became %v %q", v.Type(), v.Text(), got.Type(), got.Text())
		}
	}
	f(store.String("a s3cret."), store.String("a [scrubbed]."))
	f(store.String("nothing"), store.String("nothing"))
	f(store.String(`{"a":"s3cret"}`), store.String("null")) // its quote would be missing
	f(store.String(`{"a":"s3cret!"}`), store.String(`{"a":"[scrubbed]!"}`))
	f(store.Bytes("s3cret\x00"), store.Bytes("[scrubbed]\x00"))
	f(store.MapJSON(`{"k":["s3cret",5,"s3cret\""],"s3cret":true}`), store.MapJSON(`{"k":["[scrubbed]",5,"[scrubbed]"],"[scrubbed]":true}`))
	f(store.SliceJSON(`[1,2]`), store.SliceJSON(`[1,2]`))
	f(store.Int(5), store.Int(5))
	r := store.Row{Fields: []store.Field{{Name: "attr.s3cret", Value: store.Int(1)}, {Name: "name", Value: store.String("x")}}}
	if !scrubRow(&r, re) || r.Fields[0].Name != "attr."+Scrubbed || r.Fields[1].Name != "name" {
		t.Errorf("names: %+v", r.Fields)
	}
}

func TestScrubRefuses(t *testing.T) {
	c := New(memdb.New(memdb.Config{}), nil)
	f := func(s Scrub) {
		t.Helper()
		if _, err := c.Scrub(t.Context(), signal.DefaultProject, s); !signal.IsPermanent(err) {
			t.Errorf("%+v: %v", s, err)
		} else if s.Match != "" && strings.Contains(err.Error(), s.Match) {
			t.Errorf("the error repeats the expression: %v", err)
		}
	}
	f(Scrub{Match: "", Time: signal.AllTime()})
	f(Scrub{Match: "([", Time: signal.AllTime()})
	f(Scrub{Match: "x*", Time: signal.AllTime()})
	f(Scrub{Match: "crub+ed", Time: signal.AllTime()})
	f(Scrub{Match: "hunter2"})
}

func TestExport(t *testing.T) {
	onBoth(t, func(t *testing.T, events store.Events) {
		team(t, events)
		var out bytes.Buffer
		n, err := New(events, nil).Export(t.Context(), signal.DefaultProject, Target{User: "ann"}, &out)
		if err != nil || n != 6 {
			t.Fatalf("%d rows, %v", n, err)
		}
		spans, logs := 0, 0
		for line := range strings.Lines(out.String()) {
			if td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(line)); err == nil {
				spans += td.SpanCount()
			}
			if ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(line)); err == nil {
				logs += ld.LogRecordCount()
			}
		}
		if spans != 4 || logs != 2 || !strings.Contains(out.String(), secret) {
			t.Errorf("%d spans and %d log records in\n%s", spans, logs, &out)
		}
		if _, err := New(events, nil).Export(t.Context(), signal.DefaultProject, Target{User: "eve"}, &out); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown user: %v", err)
		}
	})
}
