package redact

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/mindscope/mindscope/internal/signal"
)

func mustRedactor(t testing.TB, cfg Config) *Redactor {
	t.Helper()
	r, err := NewRedactor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Parts of secrets are joined so that no scanner of this repository takes the tests for leaks.
func secret(parts ...string) string { return strings.Join(parts, "") }

func TestCredentials(t *testing.T) {
	r := mustRedactor(t, Config{})
	hex40 := strings.Repeat("a1b2c3d4", 5)
	f := func(name, s string) {
		t.Helper()
		for _, text := range []string{s, "before " + s, "ключ:" + s + ".", `{"a":"` + s + `"}`, strings.Repeat("x ", 5000) + s} {
			got, changed := r.Text(text)
			if !changed || strings.Contains(got, s) || !strings.Contains(got, "[redacted "+name+"]") {
				t.Errorf("%s: %.80q became %.80q", name, text, got)
			}
			if json.Valid([]byte(text)) && !json.Valid([]byte(got)) {
				t.Errorf("%s: %q is no JSON", name, got)
			}
		}
	}
	f("aws_key", secret("AKIA", "IOSFODNN7EXAMPLE"))
	f("github_token", secret("ghp_", hex40))
	f("github_token", secret("github_", "pat_11ABCDEFG0abcdefghijkl"))
	f("gitlab_token", secret("glpat-", "abcdefghij0123456789"))
	f("llm_key", secret("sk-", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL"))
	f("llm_key", secret("sk-proj-", hex40))
	f("llm_key", secret("sk-ant-api03-", hex40))
	f("llm_key", secret("gsk_", hex40))
	f("llm_key", secret("hf_", "abcdefghijklmnopqrstuvwxyzABCDEFGH"))
	f("google_key", secret("AIza", "SyA-0123456789abcdefghijklmnopqrstu"))
	f("slack_token", secret("xoxb-", "123456789012-abcdefGHIJ"))
	f("stripe_key", secret("sk_live_", "abcdefghijklmnop1234"))
	f("npm_token", secret("npm_", "abcdefghijklmnopqrstuvwxyz0123456789"))
	f("sendgrid_key", secret("SG.", "abcdefghijklmnopqrstuv.", hex40))
	f("jwt", secret("eyJ", "hbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0NTY3ODkwIn0.", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"))
	f("telegram_token", secret("123456789", ":AAabcdefghijklmnopqrstuvwxyz0123456"))
	f("vault_token", secret("hvs.", "abcdefghijklmnopqrstuvwx"))
	f("yandex_token", secret("AQVN", "abcdefghijklmnopqrstuvwxyz012345678"))
}

func TestCredentialsInTheirPlaces(t *testing.T) {
	r := mustRedactor(t, Config{})
	f := func(s, want string) {
		t.Helper()
		if got, _ := r.Text(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
	f("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [redacted bearer]")
	f("authorization: basic dXNlcjpwYXNzd29yZA== x", "authorization: basic [redacted basic_auth] x")
	f("dial postgres://team:hunter2@db:5432/x?a=b", "dial postgres://team:[redacted url_password]@db:5432/x?a=b")
	f(`{"password":"hunter22","user":"u"}`, `{"password":"[redacted password]","user":"u"}`)
	f(`{"body":"{\"api_key\": \"abc123def\"}"}`, `{"body":"{\"api_key\": \"[redacted password]\"}"}`)
	f("DB_PASSWORD=hunter22 go run .", "DB_PASSWORD=[redacted password] go run .")
	f("-----BEGIN PRIVATE KEY-----\nMIIEvQ\nabc=\n-----END PRIVATE KEY-----\nand text", "[redacted private_key]\nand text")
	f(`{"k":"-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\nabc="}`, `{"k":"[redacted private_key]"}`)
	f("post to https://hooks.slack.com/services/T000/B000/abcdefghijklmnop", "post to https://hooks.slack.com/services/[redacted slack_webhook]")
	// Two in one text, one behind the other.
	f(secret("ghp_", strings.Repeat("a", 36))+" "+secret("AKIA", "IOSFODNN7EXAMPLE"), "[redacted github_token] [redacted aws_key]")
	// What is no secret stays.
	for _, s := range []string{
		"", "short", "the bearer of this letter is a friend", "risk-averse people ask-for-nothing-and-get-it",
		"https://example.com:8080/a@b", "mailto://a@b", "npm_config_cache", "a task-456 sk-1", "password: $DB_PASSWORD",
		"eyJ is how JSON begins in base64", "password: [redacted password]", "basic understanding of the matter",
		"5f4dcc3b5aa765d61d8327deb882cf99", "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		f(s, s)
	}
}

func TestPersonalData(t *testing.T) {
	all := mustRedactor(t, Config{Groups: Groups()})
	none := mustRedactor(t, Config{})
	f := func(s, want string) {
		t.Helper()
		if got, _ := all.Text(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
		if got, changed := none.Text(s); changed {
			t.Errorf("%q became %q with no group on", s, got)
		}
	}
	f("mail ann.b+c@mail.example.co.uk.", "mail [redacted email].")
	f(`{"to":["a@b.ru","c@d.com"]}`, `{"to":["[redacted email]","[redacted email]"]}`)
	f("card 4111 1111 1111 1111, exp 12/29", "card [redacted card], exp 12/29")
	f("card 2200-0000-0000-0004", "card [redacted card]")
	f(`{"card":4111111111111111,"n":1}`, `{"card":"[redacted card]","n":1}`)
	f(`{"a":"x \" y","card":5500000000000004}`, `{"a":"x \" y","card":"[redacted card]"}`)
	f("call +7 916 123-45-67 now", "call [redacted phone] now")
	f("тел. 8 (916) 123-45-67", "тел. [redacted phone]")
	f("89161234567", "[redacted phone]")
	f("tel:+442071838750;", "tel:[redacted phone];")
	f("СНИЛС 112-233-445 95", "СНИЛС [redacted snils]")
	f("снилс: 11223344595", "снилс: [redacted snils]")
	f("ИНН 7707083893", "ИНН [redacted inn]")
	f("ИНН: 500100732259", "ИНН: [redacted inn]")
	f("паспорт 4509 123456 выдан", "паспорт [redacted passport] выдан")
	// What only looks like it stays.
	for _, s := range []string{
		"4111 1111 1111 1112 has a wrong check digit", "1790000000000000000 ns", "1790000000", "7707083893 is no INN without its name",
		"ИНН 7707083894", "112-233-445 96", "version 1.2.3-4567890123456", "id 00f067aa0ba902b7", "user@localhost", "@everyone",
		"a1b2c3d4111111111111111", "0.4111111111111111", "2026-11-24 12:30:00", "task-4567890123",
	} {
		f(s, s)
	}
}

func TestModes(t *testing.T) {
	key := []byte("0123456789abcdef")
	f := func(cfg Config, s, want string) {
		t.Helper()
		cfg.Groups = []string{GroupEmail, GroupCard}
		if got, _ := mustRedactor(t, cfg).Text(s); got != want {
			t.Errorf("%s: %q became %q, want %q", cfg.Mode, s, got, want)
		}
	}
	f(Config{Mode: ModeDrop}, `{"e":"a@b.ru","c":4111111111111111}`, `{"e":"","c":""}`)
	hmacs := mustRedactor(t, Config{Mode: ModeHMAC, Key: key, Groups: []string{GroupEmail}})
	one, _ := hmacs.Text("a@b.ru and c@d.ru and a@b.ru")
	parts := strings.Split(one, " and ")
	if len(parts) != 3 || parts[0] != parts[2] || parts[0] == parts[1] || strings.Contains(one, "a@b.ru") {
		t.Errorf("hmac: %q", one)
	}
	other := mustRedactor(t, Config{Mode: ModeHMAC, Key: []byte("another key, also long"), Groups: []string{GroupEmail}})
	if two, _ := other.Text("a@b.ru"); two == parts[0] {
		t.Error("another key gives the same hash")
	}
}

func TestOwnPatterns(t *testing.T) {
	r := mustRedactor(t, Config{Patterns: []Pattern{{"contract", `(?:contract|договор) № ?(\d+/\d+)`}, {"id", `ID-\d+`}}})
	got, _ := r.Text("договор № 12/34, ID-7")
	if got != "договор № [redacted contract], [redacted id]" {
		t.Errorf("%q", got)
	}
	if diff := cmp.Diff(int64(1), r.Counts()["contract"]); diff != "" {
		t.Error(diff)
	}
}

func TestWrongConfigs(t *testing.T) {
	f := func(cfg Config, want ...string) {
		t.Helper()
		_, err := NewRedactor(cfg)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v, want %q", cfg, err, w)
			}
		}
	}
	f(Config{Groups: []string{"emial"}, Mode: "blur"}, "emial", "blur")
	f(Config{Mode: ModeHMAC, Key: []byte("short")}, "redact.key")
	f(Config{Patterns: []Pattern{{"a", `(`}, {"b", `x*`}, {"", `x`}}}, "patterns[0]", "patterns[1]", "patterns[2]")
	f(Config{Patterns: []Pattern{{"a", `(?=x)`}}}, "patterns[0]")
}

type last struct {
	traces  ptrace.Traces
	logs    plog.Logs
	metrics pmetric.Metrics
}

func (l *last) Traces(_ context.Context, _ signal.Project, td ptrace.Traces) (signal.Rejected, error) {
	l.traces = td
	return signal.Rejected{}, nil
}

func (l *last) Logs(_ context.Context, _ signal.Project, ld plog.Logs) (signal.Rejected, error) {
	l.logs = ld
	return signal.Rejected{}, nil
}

func (l *last) Metrics(_ context.Context, _ signal.Project, md pmetric.Metrics) (signal.Rejected, error) {
	l.metrics = md
	return signal.Rejected{}, nil
}

// TestEveryString puts a secret into every place that can hold a string and looks for it in the encoded data.
func TestEveryString(t *testing.T) {
	const mail = "ann@example.com"
	next := &last{}
	s, err := New(next, Config{Groups: []string{GroupEmail}, Attributes: []string{"my.secret"}})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(m pcommon.Map) {
		m.PutStr("text", "mail to "+mail)
		m.PutEmptyBytes("bytes").FromRaw([]byte("mail " + mail))
		m.PutEmptySlice("list").AppendEmpty().SetEmptyMap().PutStr("deep", mail)
		m.PutStr("db.query.text", "SELECT * FROM u WHERE mail = '"+mail+"'")
		m.PutStr("my.secret", "whole")
	}
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	fill(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	fill(ss.Scope().Attributes())
	ss.Scope().SetName(mail)
	ss.Scope().SetVersion(mail)
	ss.SetSchemaUrl("https://" + mail)
	rs.SetSchemaUrl("https://" + mail)
	span := ss.Spans().AppendEmpty()
	span.SetName("to " + mail)
	span.Status().SetMessage("no " + mail)
	fill(span.Attributes())
	e := span.Events().AppendEmpty()
	e.SetName("to " + mail)
	fill(e.Attributes())
	fill(span.Links().AppendEmpty().Attributes())
	if _, err := s.Traces(t.Context(), signal.DefaultProject, td); err != nil {
		t.Fatal(err)
	}
	raw, _ := (&ptrace.JSONMarshaler{}).MarshalTraces(next.traces)
	clean(t, raw, mail)

	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	fill(rec.Body().SetEmptyMap())
	rec.SetSeverityText(mail)
	rec.SetEventName("of " + mail)
	fill(rec.Attributes())
	if _, err := s.Logs(t.Context(), signal.DefaultProject, ld); err != nil {
		t.Fatal(err)
	}
	raw, _ = (&plog.JSONMarshaler{}).MarshalLogs(next.logs)
	clean(t, raw, mail)

	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	named := metrics.AppendEmpty()
	named.SetName(mail)
	named.SetUnit(mail)
	named.SetDescription(mail)
	fill(metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().Attributes())
	fill(metrics.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().Exemplars().AppendEmpty().FilteredAttributes())
	fill(metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().Attributes())
	fill(metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes())
	fill(metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().Attributes())
	if _, err := s.Metrics(t.Context(), signal.DefaultProject, md); err != nil {
		t.Fatal(err)
	}
	raw, _ = (&pmetric.JSONMarshaler{}).MarshalMetrics(next.metrics)
	clean(t, raw, mail)
	if got := s.Redactor().Counts(); got["email"] == 0 || got["attribute"] == 0 {
		t.Errorf("counts %v", got)
	}
}

func clean(t *testing.T, raw []byte, mail string) {
	t.Helper()
	text := string(raw)
	// Bytes are base64 in JSON: their clean form is the proof.
	if strings.Contains(text, mail) || strings.Contains(text, "whole") || strings.Contains(text, "YW5uQGV4YW1wbGUuY29t") {
		t.Errorf("a secret is left in %s", text)
	}
}

func FuzzText(f *testing.F) {
	f.Add(`{"password":"hunter22","card":4111111111111111}`)
	f.Add("+7 (916) 123-45-67 a@b.ru СНИЛС 112-233-445 95")
	f.Add(secret("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"))
	r := mustRedactor(f, Config{Groups: Groups()})
	f.Fuzz(func(t *testing.T, s string) {
		got, changed := r.Text(s)
		if changed != (got != s) {
			t.Errorf("%q: changed %v, became %q", s, changed, got)
		}
		if json.Valid([]byte(s)) && looksLikeJSON(s) && !json.Valid([]byte(got)) {
			t.Errorf("%q became %q, which is no JSON", s, got)
		}
	})
}

func BenchmarkText(b *testing.B) {
	page := `{"role":"assistant","content":"The quick brown fox jumps over the lazy dog; see https://example.com/a/b?c=d for more. ` +
		`Passing tests matter, says the report of 2026-11-24: 12 of 14 tools answered in 350 ms."},`
	text := "[" + strings.Repeat(page, 400) + "{}]"
	for name, cfg := range map[string]Config{"credentials": {}, "all": {Groups: Groups()}} {
		b.Run(name, func(b *testing.B) {
			r := mustRedactor(b, cfg)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Text(text)
			}
		})
	}
}

// TestLeavesLongTextsToTheStore wants long strings of attributes and bodies untouched, and all else redacted.
func TestLeavesLongTextsToTheStore(t *testing.T) {
	token := secret("ghp_", "0123456789abcdefghijABCDEFGHIJ012345")
	long := strings.Repeat("word ", 200) + token
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("resource", long)
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(long)
	a := span.Attributes()
	a.PutStr("prompt", long)
	a.PutStr("short", token)
	a.PutStr("mindscope.user", long)
	a.PutStr("http.request.header.cookie", long)
	a.PutEmptySlice("slice").AppendEmpty().SetStr(long)
	span.Events().AppendEmpty().Attributes().PutStr("event", long)
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.Body().SetStr(long)
	rec.Attributes().PutStr("note", long)

	s, err := New(nowhere{}, Config{LeaveFrom: 512})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Traces(t.Context(), "", td); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Logs(t.Context(), "", ld); err != nil {
		t.Fatal(err)
	}
	for k, v := range a.All() {
		if left := strings.Contains(v.AsString(), token); left != (k == "prompt") {
			t.Errorf("attribute %s: left is %v", k, left)
		}
	}
	event, _ := span.Events().At(0).Attributes().Get("event")
	resource, _ := rs.Resource().Attributes().Get("resource")
	for what, text := range map[string]string{"name": span.Name(), "event": event.Str(), "resource": resource.Str()} {
		if strings.Contains(text, token) {
			t.Errorf("%s was left", what)
		}
	}
	note, _ := rec.Attributes().Get("note")
	if rec.Body().Str() != long || note.Str() != long {
		t.Error("long texts of the record were not left")
	}
}

type nowhere struct{}

func (nowhere) Traces(context.Context, signal.Project, ptrace.Traces) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Logs(context.Context, signal.Project, plog.Logs) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}

func (nowhere) Metrics(context.Context, signal.Project, pmetric.Metrics) (signal.Rejected, error) {
	return signal.Rejected{}, nil
}
