package nodes

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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

// guarded are the flags of a node that lets in one user only.
func guarded(password string) []string {
	return []string{"-httpAuth.username=mindscope", "-httpAuth.password=" + password}
}

// proxy stands in front of a node and lets those in who have a token.
func proxy(t *testing.T, addr, token string) string {
	t.Helper()
	node := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		node.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// spoken collects a log.
type spoken struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	setPassword(t, path, password)
	return path
}

func setPassword(t *testing.T, path, password string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGuardedNodes writes to, reads from and deletes on nodes that ask for a password. When it is changed on them, rows wait,
// and are sent when the file has the new one, without a restart.
func TestGuardedNodes(t *testing.T) {
	nodes := startNodes(t, 2, guarded("first-5d0c")...)
	path := passwordFile(t, "first-5d0c")
	said := &spoken{}
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{
		Nodes: addrs(nodes), NodeSettle: settle, NodeAuth: eventdb.NodeAuth{User: "mindscope", PasswordFile: path},
		Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := time.Now().Add(-time.Minute)
	put := func(traces ...string) {
		t.Helper()
		for _, trace := range traces {
			if rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span(trace, 0, at)}); err != nil || rejected.Items > 0 {
				t.Fatal(rejected, err)
			}
		}
	}
	has := func(want int) error {
		if err := db.Flush(); err != nil {
			return err
		}
		found, err := count(t.Context(), db)
		if err == nil && len(found) != want {
			err = fmt.Errorf("%d rows, want %d", len(found), want)
		}
		return err
	}
	put("a", "b", "c", "d")
	if err := has(4); err != nil {
		t.Fatal(err)
	}
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "a")}
	if n, err := db.Delete(t.Context(), signal.DefaultProject, scope); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if err := has(3); err != nil {
		t.Error(err)
	}

	for _, nd := range nodes {
		nd.kill(syscall.SIGTERM)
		nd.flags = guarded("second-91e7")
		nd.start()
	}
	harness.Eventually(t, 30*time.Second, "a word about the password", func() error {
		if text := said.String(); !strings.Contains(text, "store.node_password_file") || strings.Contains(text, "5d0c") {
			return errors.New(text)
		}
		return nil
	})
	put("e", "f")
	if found, err := count(t.Context(), db); err == nil {
		t.Errorf("nodes that do not let us in answer %v", found)
	}
	setPassword(t, path, "second-91e7")
	harness.Eventually(t, time.Minute, "the rows to be sent", func() error { return has(5) })
}

// TestWrongPassword: a start says which setting is wrong, and never the password.
func TestWrongPassword(t *testing.T) {
	nodes := startNodes(t, 1, guarded("right-77aa")...)
	f := func(auth eventdb.NodeAuth, want, hint string) {
		t.Helper()
		db, err := eventdb.Open(t.TempDir(), eventdb.Config{Nodes: addrs(nodes), NodeSettle: settle, NodeAuth: auth})
		if err == nil {
			t.Errorf("opened with %+v", auth)
			_ = db.Close() // it should not be open
			return
		}
		text := err.Error() + signal.HintOf(err)
		if !strings.Contains(err.Error(), want) || !strings.Contains(signal.HintOf(err), hint) || strings.Contains(text, "wrong-31b2") {
			t.Errorf("%v: %s", err, signal.HintOf(err))
		}
	}
	f(eventdb.NodeAuth{}, addrs(nodes)[0], "set store.node_user and store.node_password_file")
	f(eventdb.NodeAuth{User: "mindscope", Password: "wrong-31b2"}, "refuses the credentials", "store.node_password or store.node_password_file are not")
	f(eventdb.NodeAuth{User: "mindscope", PasswordFile: passwordFile(t, "wrong-31b2")}, "refuses the credentials", "are not")
	f(eventdb.NodeAuth{User: "somebody", Password: "right-77aa"}, "refuses the credentials", "store.node_user")
	f(eventdb.NodeAuth{Password: "wrong-31b2"}, "refuses the credentials", "are not") // a token
	f(eventdb.NodeAuth{User: "mindscope", PasswordFile: "/nowhere/password"}, "/nowhere/password", "store.node_password_file")

	// The server itself, with the password in a variable.
	serve := func(password string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), harness.Binary(t), "serve", "--data", t.TempDir(), "--listen=127.0.0.1:0",
			"--otlp.grpc=127.0.0.1:0", "--otlp.http=127.0.0.1:0", "--no-metrics.enabled", "--store.nodes="+addrs(nodes)[0], "--store.node-user=mindscope")
		cmd.Env = append(os.Environ(), "MINDSCOPE_STORE_NODE_PASSWORD="+password)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("the server runs: %s", out)
		}
		return string(out)
	}
	if out := serve("wrong-31b2"); !strings.Contains(out, "store.node_password") || !strings.Contains(out, "refuses the credentials") || strings.Contains(out, "31b2") {
		t.Errorf("the server says: %s", out)
	}
	s := harness.Start(t, harness.Options{Args: []string{
		"--no-metrics.enabled", "--store.nodes=" + addrs(nodes)[0], "--store.node-user=mindscope",
		"--store.node-password-file=" + passwordFile(t, "right-77aa"),
	}})
	if err := send(s.OTLPHTTP, fmt.Sprintf("%032x", 1)); err != nil {
		t.Error(err)
	}
	s.Stop(t)
}

// TestTokenForNodes: without a user the password is a token, which what stands in front of the nodes asks for.
func TestTokenForNodes(t *testing.T) {
	node := startNodes(t, 1)[0]
	addr := proxy(t, node.addr, "token-20f4")
	db, err := eventdb.Open(t.TempDir(), eventdb.Config{Nodes: []string{addr}, NodeSettle: settle, NodeAuth: eventdb.NodeAuth{Password: "token-20f4"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if rejected, err := db.Write(t.Context(), signal.DefaultProject, []store.Row{span("a", 0, time.Now())}); err != nil || rejected.Items > 0 {
		t.Fatal(rejected, err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if found, err := count(t.Context(), db); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
}
