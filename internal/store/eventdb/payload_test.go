package eventdb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const prompts = "attr.gen_ai.input.messages"

// callRow is a call of a model with a conversation.
func callRow(n int, at time.Time, messages ...string) store.Row {
	r := store.Row{Kind: store.KindSpan, ID: fmt.Sprintf("call-%d", n), Time: at.UnixNano()}
	r.Add(store.FieldTraceID, store.String("trace"))
	r.Add(prompts, store.String("["+strings.Join(messages, ",")+"]"))
	return r
}

func openConfigured(t *testing.T, dir string, cfg Config) *DB {
	t.Helper()
	db, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func put(t *testing.T, db *DB, rows ...store.Row) {
	t.Helper()
	rejected, err := db.Write(t.Context(), signal.DefaultProject, rows)
	if err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
}

// promptsOf returns the conversations of all calls, oldest first.
func promptsOf(t *testing.T, db *DB, filter store.Filter) []string {
	t.Helper()
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	var out []string
	q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: filter}, Order: store.OldestFirst}
	for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Text(prompts))
	}
	return out
}

func TestGrowingConversationIsStoredOnce(t *testing.T) {
	db := openConfigured(t, t.TempDir(), Config{})
	var messages, want []string
	at := time.Now().Add(-time.Minute)
	if at.Day() != time.Now().Day() {
		at = time.Now()
	}
	const calls = 20
	for i := range calls {
		messages = append(messages, long(fmt.Sprintf("message %d with needle%d", i, i)))
		want = append(want, "["+strings.Join(messages, ",")+"]")
		put(t, db, callRow(i, at.Add(time.Duration(i)), messages...))
	}
	if diff := cmp.Diff(want, promptsOf(t, db, nil)); diff != "" {
		t.Error(diff)
	}
	// The first text is shorter than PayloadMinBytes, or its element is one of the others': each is stored once.
	cache := db.PayloadCache()
	if cache.Misses > calls || cache.Hits == 0 || cache.Known != int(cache.Misses) {
		t.Errorf("%+v", cache)
	}
	// Who searches finds every call that said it, and words across two messages too.
	if got := promptsOf(t, db, store.Text{Words: "needle10", Phrase: true}); len(got) != calls-10 {
		t.Errorf("%d calls, want %d", len(got), calls-10)
	}
	if got := promptsOf(t, db, store.Text{Words: `so on"},{"role":"user","content":"message 19`}); len(got) != 1 {
		t.Errorf("%d calls with words across two messages", len(got))
	}
	// The same in one field, and words of an element that is too small to be kept apart.
	put(t, db, callRow(calls, at.Add(calls), `{"content":"tiny hay"}`, messages[0], long("last"+strings.Repeat(" pad", 200))))
	if got := promptsOf(t, db, store.Text{Field: prompts, Words: "needle10", Phrase: true}); len(got) != calls-10 {
		t.Errorf("%d calls in the field, want %d", len(got), calls-10)
	}
	if got := promptsOf(t, db, store.Text{Field: prompts, Words: "tiny hay", Phrase: true}); len(got) != 1 {
		t.Errorf("%d calls with the small element", len(got))
	}
	if got := promptsOf(t, db, store.Text{Field: prompts, Words: `"message 0 with needle0 and so on`}); len(got) != calls+1 {
		t.Errorf("%d calls with a quote among the words", len(got))
	}
	hash := db.PayloadHash(signal.DefaultProject, messages[5])
	p, err := db.Payload(t.Context(), signal.DefaultProject, hash)
	if err != nil || p.Body != messages[5] {
		t.Errorf("payload of an element: %+v, %v", p, err)
	}
	if hash == db.PayloadHash("other", messages[5]) || hash == store.PayloadHash(signal.DefaultProject, messages[5]) {
		t.Error("the hash is not keyed by project")
	}
}

func TestConversationAcrossMidnightAndDeletion(t *testing.T) {
	noon := time.Now().UTC().Truncate(24 * time.Hour)
	db := openConfigured(t, t.TempDir(), Config{})
	a, b, c := long("first"), long("second"), long("third")
	pad := long(strings.Repeat("padding ", 80))
	put(t, db,
		callRow(1, noon.Add(-2*time.Second), a, pad),
		callRow(2, noon.Add(-time.Second), a, b, pad),
		callRow(3, noon.Add(time.Second), a, b, c, pad),
		callRow(4, noon.Add(-50*time.Hour), a, pad)) // late
	want := []string{"[" + a + "," + pad + "]", "[" + a + "," + pad + "]", "[" + a + "," + b + "," + pad + "]", "[" + a + "," + b + "," + c + "," + pad + "]"}
	if diff := cmp.Diff(want, promptsOf(t, db, nil)); diff != "" {
		t.Error(diff)
	}
	n, err := db.Delete(t.Context(), signal.DefaultProject, store.Scope{
		Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldRowID, "call-2"),
	})
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if diff := cmp.Diff([]string{want[0], want[1], want[3]}, promptsOf(t, db, nil)); diff != "" {
		t.Errorf("after a deletion:\n%s", diff)
	}
	// What is deleted may come again.
	put(t, db, callRow(5, noon.Add(-time.Second), a, b, pad))
	if diff := cmp.Diff(want, promptsOf(t, db, nil)); diff != "" {
		t.Errorf("after it came again:\n%s", diff)
	}
}

func TestRedactSeesWhatIsNotStoredYet(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]int{}
	cfg := Config{Redact: func(s string) (string, bool) {
		seen[s]++
		clean := strings.ReplaceAll(s, "hunter2", "[redacted]")
		return clean, clean != s
	}}
	db := openConfigured(t, dir, cfg)
	at := time.Now()
	secret, plain := long("my password is hunter2"), long("nothing to hide"+strings.Repeat(".", 600))
	small := `{"x":"hunter2"}`
	put(t, db, callRow(1, at, secret, plain))
	put(t, db, callRow(2, at.Add(1), secret, plain, plain))
	put(t, db, callRow(3, at.Add(2), small, plain)) // what stays in the row is looked at too
	clean := strings.ReplaceAll(secret, "hunter2", "[redacted]")
	want := []string{"[" + clean + "," + plain + "]", "[" + clean + "," + plain + "," + plain + "]", `[{"x":"[redacted]"},` + plain + "]"}
	if diff := cmp.Diff(want, promptsOf(t, db, nil)); diff != "" {
		t.Error(diff)
	}
	if seen[secret] != 1 || seen[plain] != 1 {
		t.Errorf("redact saw the secret %d times and the rest %d times", seen[secret], seen[plain])
	}
}

func TestKnownPayloadsIsBounded(t *testing.T) {
	k := newKnownPayloads()
	key := func(i int) payloadKey { return payloadKey{day: int64(i)} }
	for i := range 3 * maxKnown {
		k.addAll(map[payloadKey]struct{}{key(i): {}})
		if !k.has(key(i)) {
			t.Fatalf("%d was not noted", i)
		}
	}
	if n := k.len(); n > 2*maxKnown {
		t.Errorf("%d payloads are held", n)
	}
	if k.has(key(0)) {
		t.Error("the first one is still held")
	}
}

// TestCopiesAreNotMixed stores a long content again after the redaction was changed: its parts are cut at other places.
func TestCopiesAreNotMixed(t *testing.T) {
	dir := t.TempDir()
	long := func(name string) string {
		var b strings.Builder
		b.WriteString(name)
		for i := 0; b.Len() < 3*chunkLen; i++ {
			fmt.Fprintf(&b, " word%d", i)
		}
		return b.String()
	}
	plain, at := long("secret"), time.Unix(0, base)
	redacted := strings.Replace(plain, "secret", strings.Repeat("*", 1000), 1)
	row := func(id string, at time.Time) store.Row {
		r := store.Row{Kind: store.KindSpan, ID: id, Time: at.UnixNano()}
		r.Add(prompts, store.String(plain))
		return r
	}
	cfg := Config{Retention: maxRetention, PayloadRetention: maxRetention}
	first := openWith(t, dir, cfg)
	put(t, first, row("1", at))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Redact = func(s string) (string, bool) { return strings.Replace(s, "secret", strings.Repeat("*", 1000), 1), true }
	db := openConfigured(t, dir, cfg)
	put(t, db, row("2", at.Add(time.Minute)))
	for i, got := range promptsOf(t, db, nil) {
		if got != plain && got != redacted {
			t.Errorf("row %d has a content of %d bytes that nobody stored", i, len(got))
		}
	}
	got, err := db.Payload(t.Context(), signal.DefaultProject, db.PayloadHash(signal.DefaultProject, plain))
	if err != nil || got.Body != redacted {
		t.Errorf("the payload has %d bytes, %v; want the newest copy, %d bytes", len(got.Body), err, len(redacted))
	}
}
