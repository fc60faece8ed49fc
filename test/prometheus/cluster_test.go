package prometheus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// TestServersPageOnce: two servers see the same failures; whoever is on call is paged once, and told once that it is over.
func TestServersPageOnce(t *testing.T) {
	h := newHook(t)
	one, two := freeAddr(t), freeAddr(t)
	pageOnce(t, h, member(t, h, one, two, ""), member(t, h, two, one, ""))
}

// TestServersPageOnceOverTLS: the same with encrypted gossip; who has no certificate of theirs is not one of them.
func TestServersPageOnceOverTLS(t *testing.T) {
	h, ca := newHook(t), newAuthority(t)
	one, two := freeAddr(t), freeAddr(t)
	a, b := member(t, h, one, two, ca.gossip(t, ca)), member(t, h, two, one, ca.gossip(t, ca))
	if strings.Contains(a.Output(), "whoever reaches the port") {
		t.Errorf("a cluster that asks for certificates warns:\n%s", a.Output())
	}
	known(t, 2, a, b)

	// On the wire: what a peer without a certificate says is not taken, what one with a certificate says is.
	greet := func(certificates ...tls.Certificate) error {
		conn, err := tls.Dial("tcp", one, &tls.Config{RootCAs: ca.pool(), Certificates: certificates})
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		_, err = io.ReadAll(conn)
		return err
	}
	if err := greet(); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	if err := greet(newAuthority(t).issue(t)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with a certificate of somebody else: %v", err)
	}
	if err := greet(ca.issue(t)); err == nil || !os.IsTimeout(err) {
		t.Errorf("with a certificate: %v, want silence: the server waits for what is said", err)
	}

	// Whole servers: one whose certificate is somebody else's, one that does not encrypt.
	for name, more := range map[string]string{"of another authority": newAuthority(t).gossip(t, ca), "without TLS": ""} {
		stranger := member(t, newHook(t), freeAddr(t), one, more)
		harness.Eventually(t, 40*time.Second, "a server "+name+" to be refused", func() error {
			if n := stranger.Metric(t, "alertmanager_cluster_reconnections_failed_total"); n < 1 {
				return fmt.Errorf("%v failed attempts", n)
			}
			return nil
		})
		known(t, 1, stranger)
		stranger.Stop(t)
	}
	known(t, 2, a, b)
	pageOnce(t, h, a, b)
}

// TestGossipTLSFile: a file that can't be used refuses the start and is named; one that lets everybody in is warned of.
func TestGossipTLSFile(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		path := file(t, "tls.yml", text)
		config := rulesAt(t, "http://127.0.0.1:1", "  cluster_listen: "+freeAddr(t)+"\n  cluster_tls: '"+path+"'\n")
		_, errOut, code := (&harness.Server{}).Run(t, "serve", "--memory", "--listen", "127.0.0.1:0", "--otlp.grpc", "127.0.0.1:0", "--otlp.http", "127.0.0.1:0", "--config", config)
		if code == 0 || !strings.Contains(errOut, want) || !strings.Contains(errOut, "tls.yml") {
			t.Errorf("%s: exit code %d\n%s", text, code, errOut)
		}
	}
	f("tls_server_confg: {}", "tls_server_confg")
	f("tls_client_config: {}", "tls_server_config")
	ca := newAuthority(t)
	path := ca.gossip(t, ca)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := strings.Replace(string(text), ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert", "", 1)
	if err := os.WriteFile(path, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	s := member(t, newHook(t), freeAddr(t), freeAddr(t), path)
	if !strings.Contains(s.Output(), "whoever reaches the port may take part") {
		t.Errorf("no warning:\n%s", s.Output())
	}
}

// member starts a server that listens at own for the gossip and knows another; gossip is its file for TLS, "" for none.
func member(t *testing.T, h *hook, own, other, gossip string) *harness.Server {
	t.Helper()
	more := "  cluster_listen: " + own + "\n  peers: [" + other + "]\n  peer_timeout: 4s\n"
	if gossip != "" {
		more += "  cluster_tls: '" + gossip + "'\n"
	}
	return harness.Start(t, harness.Options{Args: []string{"--config", rulesAt(t, h.URL, more)}})
}

// known waits until each of the servers knows so many, itself included.
func known(t *testing.T, want int, servers ...*harness.Server) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the servers to know each other", func() error {
		var status struct {
			Cluster struct {
				Status string     `json:"status"`
				Peers  []struct{} `json:"peers"`
			} `json:"cluster"`
		}
		for _, s := range servers {
			if err := s.Get("/alertmanager/api/v2/status", &status); err != nil {
				return err
			}
			if status.Cluster.Status != "ready" || len(status.Cluster.Peers) != want {
				return fmt.Errorf("%s, %d peers, want %d", status.Cluster.Status, len(status.Cluster.Peers), want)
			}
		}
		return nil
	})
}

// pageOnce lets tasks fail at both servers.
func pageOnce(t *testing.T, h *hook, a, b *harness.Server) {
	t.Helper()
	known(t, 2, a, b)
	for n := range 10 {
		finish(t, a, n, n%2 == 0)
		finish(t, b, n, n%2 == 0)
	}
	h.next(t, "TaskFailureRate", "firing")
	firing := func(s *harness.Server) error {
		var alerts []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := s.Get("/alertmanager/api/v2/alerts?filter=alertname%3DTaskFailureRate", &alerts); err != nil {
			return err
		}
		if len(alerts) != 1 {
			return &harness.StatusError{Code: len(alerts), Body: "alerts"}
		}
		return nil
	}
	for _, s := range []*harness.Server{a, b} {
		harness.Eventually(t, 20*time.Second, "both to have the alert", func() error { return firing(s) })
	}
	// The second waits 4 s for the first, so it had its turn three times over.
	second := time.After(12 * time.Second)
	for {
		select {
		case got := <-h.got:
			if got.Labels["alertname"] == "TaskFailureRate" {
				t.Fatalf("paged twice: %+v", got)
			}
			continue
		case <-second:
		}
		break
	}
}

// authority issues certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, template)
	return a
}

// sign makes a certificate, of an authority itself when it has none yet.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a certificate for a server and a client at 127.0.0.1.
func (a *authority) issue(t *testing.T) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// gossip writes a file for cluster_tls, with a certificate of a, for one who trusts another authority; paths in it
// are seen from the file.
func (a *authority) gossip(t *testing.T, trusts *authority) string {
	t.Helper()
	dir, own := t.TempDir(), a.issue(t)
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"own.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "own.key": {Type: "PRIVATE KEY", Bytes: key},
		"ca.pem": {Type: "CERTIFICATE", Bytes: trusts.cert.Raw},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "tls.yml")
	text := "tls_server_config: {cert_file: own.pem, key_file: own.key, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}\n" +
		"tls_client_config: {cert_file: own.pem, key_file: own.key, ca_file: ca.pem}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
