package rule

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGossipTLSWarns: a file with which others take part unasked, or refuse this server, is warned of.
func TestGossipTLSWarns(t *testing.T) {
	const (
		anyone  = "whoever reaches the port may take part"
		refused = "peers that ask for a certificate refuse this server"

		server = "tls_server_config: {cert_file: one.pem, key_file: one.key"
		asks   = ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}\n"
		client = "tls_client_config: {ca_file: ca.pem"
		shows  = ", cert_file: one.pem, key_file: one.key}\n"
	)
	f := func(text string, want ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "gossip.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		a := &Alertmanager{cfg: AlertmanagerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil)), Cluster: ClusterConfig{TLSFile: file}}}
		if _, err := a.gossipTLS(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "level=WARN"); got != len(want) {
			t.Errorf("%d warnings, want %d, with\n%s%s", got, len(want), text, &log)
		}
		for _, words := range want {
			if !strings.Contains(log.String(), words) {
				t.Errorf("no warning that %s, with\n%s%s", words, text, &log)
			}
		}
	}
	f(server + asks + client + shows)
	f(server+"}\n"+client+shows, anyone)
	f(server+asks+client+"}\n", refused)
	f(server+asks, refused)
	f(server+"}\n", anyone, refused)
}
