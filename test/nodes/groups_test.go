package nodes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
	"github.com/mindscope/mindscope/test/harness"
)

// certificate makes one for 127.0.0.1 that this process and its children trust.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der2, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: der2}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SSL_CERT_FILE", cert)
	return cert, key
}

// secured are the nodes' addresses with TLS.
func secured(nodes []*storageNode) []string {
	var out []string
	for _, a := range addrs(nodes) {
		out = append(out, "https://"+a)
	}
	return out
}

// TestServerKilledOnNodes kills MindScope itself, again and again, while it writes to nodes over TLS, prompts to a group of
// their own: what it acknowledged is there, once, and what got lost in its memory is sent again without anybody's help.
func TestServerKilledOnNodes(t *testing.T) {
	cert, key := certificate(t)
	tls := []string{"-tls", "-tlsCertFile=" + cert, "-tlsKeyFile=" + key}
	nodes := startNodes(t, 2, tls...)
	prompts := startNodes(t, 1, append(tls, "-retentionPeriod=9d")...)
	data := t.TempDir()
	options := harness.Options{Data: data, Args: []string{
		"--no-metrics.enabled", "--store.nodes=" + strings.Join(secured(nodes), ","), "--store.payload-nodes=" + secured(prompts)[0],
	}}
	var acked []string
	var mu sync.Mutex
	for round := range 4 {
		s := harness.Start(t, options)
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("%032x", (round<<40|w<<32|i)+1)
					if send(s.OTLPHTTP, id) != nil {
						return // killed
					}
					mu.Lock()
					acked = append(acked, id)
					mu.Unlock()
				}
			})
		}
		reached := func(n int) bool { mu.Lock(); defer mu.Unlock(); return len(acked) >= n }
		harness.Eventually(t, time.Minute, "rows to be acknowledged", func() error {
			if !reached(100 * (round + 1)) {
				return errors.New("not yet")
			}
			return nil
		})
		s.Kill(t)
		wg.Wait()
	}
	harness.Start(t, options).Stop(t) // replays what is missing

	db, err := eventdb.Open(data, eventdb.Config{Nodes: secured(nodes), PayloadNodes: secured(prompts), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for r, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
		if err != nil {
			t.Fatal(err)
		}
		if id := r.Text(store.FieldTraceID); !strings.Contains(r.Text("attr.gen_ai.input.messages"), id) {
			t.Errorf("%s came back without its prompt", id)
		}
		have[strings.Clone(r.Text(store.FieldTraceID))]++
	}
	lost, twice := 0, 0
	for _, id := range acked {
		if have[id] == 0 {
			lost++
		}
	}
	for _, n := range have {
		twice += n - 1
	}
	t.Logf("%d rows acknowledged in 4 lives, %d found", len(acked), len(have))
	if lost > 0 || twice > 0 {
		t.Errorf("%d acknowledged rows are lost, %d are there twice", lost, twice)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// The nodes of rows have no prompts: without the other group, each row says that its prompt is gone.
	rowsOnly, err := eventdb.Open(t.TempDir(), eventdb.Config{Nodes: secured(nodes), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	defer rowsOnly.Close()
	for r, err := range rowsOnly.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Text(store.FieldPayloadsExpired) != "attr.gen_ai.input.messages" {
			t.Fatalf("a node of rows has a prompt: %v", r)
		}
	}
}

// send sends one span as JSON.
func send(url, trace string) error {
	now := time.Now().UnixNano()
	prompt := `[{\"role\":\"user\",\"content\":\"` + trace + strings.Repeat(" and more", 80) + `\"}]`
	body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":%q,"spanId":%q,"name":"chat","startTimeUnixNano":"%d","endTimeUnixNano":"%d",
		"attributes":[{"key":"gen_ai.input.messages","value":{"stringValue":"%s"}}]}]}]}]}`, trace, trace[16:], now, now+1, prompt)
	resp, err := http.Post(url+"/v1/traces", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// TestAllNodesAway: rows that no node takes are acknowledged, since the log has them, and are sent when a node is back,
// without a restart.
func TestAllNodesAway(t *testing.T) {
	nodes := startNodes(t, 2)
	db := open(t, t.TempDir(), nodes)
	defer db.Close()
	for _, nd := range nodes {
		nd.kill(syscall.SIGKILL)
	}
	at := time.Now().Add(-time.Minute)
	want := 0
	for i := range 5 {
		rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span(fmt.Sprintf("away-%d", i), 0, at)})
		if err != nil || rejected.Items > 0 {
			t.Fatal(rejected, err)
		}
		want++
	}
	if _, err := count(t.Context(), db); !errors.Is(err, store.ErrPartial) {
		t.Errorf("a question to nobody: %v", err)
	}
	for _, nd := range nodes {
		nd.start()
	}
	harness.Eventually(t, time.Minute, "the rows to be sent", func() error {
		if err := db.Flush(); err != nil {
			return err
		}
		found, err := count(t.Context(), db)
		if err == nil && len(found) != want {
			err = fmt.Errorf("%d rows", len(found))
		}
		return err
	})
}

// TestPayloadDayDropped: the nodes of prompts drop a day that the nodes of rows keep, as their retentions say. A row of that
// day is there and says that its prompt is gone; all others have theirs.
func TestPayloadDayDropped(t *testing.T) {
	rows, prompts := startNodes(t, 1), startNodes(t, 1)
	dir := t.TempDir()
	start := func(payloads time.Duration) *eventdb.DB {
		t.Helper()
		db, err := eventdb.Open(dir, eventdb.Config{Nodes: addrs(rows), PayloadNodes: addrs(prompts), PayloadRetention: payloads, NodeSettle: settle})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	const day = 24 * time.Hour
	now := time.Now()
	old, young := span("old", 0, now.Add(-4*day)), span("young", 0, now.Add(-time.Minute))
	db := start(7 * day)
	if rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{old, young}); err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
	// check reads both rows, by the rows and by a phrase of their prompts.
	check := func(when string, db *eventdb.DB, expired string, found ...string) {
		t.Helper()
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		q := store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}, Order: store.OldestFirst}
		var got, phrase []string
		for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %d %q", r.Text(store.FieldTraceID), len(r.Text("attr.prompt")), r.Text(store.FieldPayloadsExpired)))
		}
		length := len(young.Text("attr.prompt"))
		want := []string{fmt.Sprintf("old %d %q", len(old.Text("attr.prompt")), ""), fmt.Sprintf("young %d %q", length, "")}
		if expired != "" {
			want[0] = fmt.Sprintf("old 0 %q", expired)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows %q, want %q", when, got, want)
		}
		q.Filter = store.Text{Words: "prompt 0 of", Phrase: true}
		for r, err := range db.Select(t.Context(), signal.DefaultProject, q) {
			if err != nil {
				t.Fatal(err)
			}
			phrase = append(phrase, strings.Clone(r.Text(store.FieldTraceID)))
		}
		if !slices.Equal(phrase, found) {
			t.Errorf("%s: the phrase is in %q, want %q", when, phrase, found)
		}
	}
	check("before", db, "", "old", "young")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	prompts[0].kill(syscall.SIGTERM)
	prompts[0].flags = []string{"-retentionPeriod=2d"}
	prompts[0].start()
	db = start(day)
	check("after", db, "attr.prompt", "young")
	// A repeat is no new row, and brings nothing back.
	if _, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{old}); err != nil {
		t.Fatal(err)
	}
	check("after a repeat", db, "attr.prompt", "young")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPayloadDayDetached: the same while the server runs.
func TestPayloadDayDetached(t *testing.T) {
	rows, prompts := startNodes(t, 1), startNodes(t, 1)
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Nodes: addrs(rows), PayloadNodes: addrs(prompts), NodeSettle: settle})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old := time.Now().Add(-72 * time.Hour)
	if rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("old", 0, old), span("young", 0, time.Now())}); err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
	expired := func() map[string]string {
		t.Helper()
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for r, err := range db.Select(t.Context(), signal.DefaultProject, store.Select{Scope: store.Scope{Kind: store.KindSpan, Time: signal.AllTime()}}) {
			if err != nil {
				t.Fatal(err)
			}
			found[strings.Clone(r.Text(store.FieldTraceID))] = strings.Clone(r.Text(store.FieldPayloadsExpired))
		}
		return found
	}
	// Nobody has read the prompts before: what was read is in memory for a while.
	if err := errors.Join(db.Flush(), detach(prompts[0].addr, old)); err != nil {
		t.Fatal(err)
	}
	if found, want := expired(), map[string]string{"old": "attr.prompt", "young": ""}; !maps.Equal(found, want) {
		t.Errorf("expired prompts are %q, want %q", found, want)
	}
}

// detach takes a day from a node, which goes on without it.
func detach(addr string, day time.Time) error {
	resp, err := http.Get("http://" + addr + "/internal/partition/detach?name=" + day.UTC().Format("20060102"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
