package rule

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/alertmanager/cluster"
)

// ClusterConfig is how several Alertmanagers deliver as one. They tell each other of silences and of notifications that
// were sent (Alertmanager's gossip), and each waits a while longer than the one before it, so that a group is notified of once.
type ClusterConfig struct {
	// Listen is the address for the others, host:port, TCP and UDP; "" is no cluster.
	Listen string
	// Peers are addresses of others; one that is running is enough.
	Peers []string
	// TLSFile is the path of a file as Alertmanager's --cluster.tls-config takes it: the gossip goes over TLS then, by TCP
	// alone. "" is not encrypted.
	TLSFile string
	// PeerTimeout is how long each waits for the one before it.
	PeerTimeout time.Duration
}

// leaveLimit bounds how long a stop waits for the others to hear of it.
const leaveLimit = 5 * time.Second

// joinCluster makes a peer, nil for no cluster.
func (a *Alertmanager) joinCluster() error {
	c := a.cfg.Cluster
	if c.Listen == "" {
		return nil
	}
	encryption, err := a.gossipTLS()
	if err != nil {
		return err
	}
	peer, err := cluster.Create(
		a.cfg.Logger.With("component", "cluster"), a.cfg.Registerer, c.Listen, "", c.Peers, true,
		cluster.DefaultPushPullInterval, cluster.DefaultGossipInterval, cluster.DefaultTCPTimeout, cluster.DefaultResolvePeersTimeout,
		cluster.DefaultProbeTimeout, cluster.DefaultProbeInterval, encryption, false, "", "")
	if err != nil {
		return fmt.Errorf("join the other Alertmanagers from %s: %w", c.Listen, err)
	}
	a.peer = peer
	return nil
}

// gossipTLS reads how the gossip is encrypted, nil for not at all. Certificates are read by Alertmanager when the peer is made.
func (a *Alertmanager) gossipTLS() (*cluster.TLSTransportConfig, error) {
	file := a.cfg.Cluster.TLSFile
	if file == "" {
		return nil, nil //nolint:nilnil // as cluster.Create wants it
	}
	read, err := cluster.GetTLSTransportConfig(file)
	if err != nil {
		return nil, fmt.Errorf("read TLS of the Alertmanagers' gossip in %s: %w", file, err)
	}
	if auth := read.TLSServerConfig.ClientAuth; auth != "RequireAndVerifyClientCert" {
		a.cfg.Logger.Warn("the gossip of Alertmanagers is encrypted, but whoever reaches the port may take part",
			"file", file, "hint", "set client_auth_type: RequireAndVerifyClientCert and client_ca_file in tls_server_config")
	}
	if own := read.TLSClientConfig; own.Cert == "" && own.CertFile == "" && own.CertRef == "" {
		a.cfg.Logger.Warn("the gossip of Alertmanagers is encrypted, but peers that ask for a certificate refuse this server: it has none to show",
			"file", file, "hint", "set cert_file and key_file in tls_client_config")
	}
	return read, nil
}

// share tells the peers what changes, when everything that hears of it is there.
func (a *Alertmanager) share() {
	toNotifications, toSilences := func([]byte) {}, func([]byte) {}
	if a.peer != nil {
		toNotifications = a.peer.AddState("nfl", a.notifications, a.cfg.Registerer).Broadcast
		toSilences = a.peer.AddState("sil", a.silences, a.cfg.Registerer).Broadcast
	}
	// What changes is also written to disk, so that a crash loses neither a silence nor what was sent.
	a.notifications.SetBroadcast(func(b []byte) { a.changed(); toNotifications(b) })
	a.silences.SetBroadcast(func(b []byte) { a.changed(); toSilences(b) })
	a.running.Go(a.saveChanges)
	if a.peer == nil {
		return
	}
	// One that can't be reached now is tried again and again.
	_ = a.peer.Join(cluster.DefaultReconnectInterval, cluster.DefaultReconnectTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), cluster.DefaultPushPullInterval)
	a.running.Go(func() {
		<-a.stop
		cancel()
	})
	a.running.Go(func() { a.peer.Settle(ctx, 10*cluster.DefaultGossipInterval) })
}

// wait is how long this one waits for those before it.
func (a *Alertmanager) wait() time.Duration {
	if a.peer == nil {
		return 0
	}
	return time.Duration(a.peer.Position()) * a.cfg.Cluster.PeerTimeout
}

func (a *Alertmanager) leaveCluster() {
	if a.peer == nil {
		return
	}
	if err := a.peer.Leave(leaveLimit); err != nil {
		a.cfg.Logger.Warn("the other Alertmanagers were not told of the stop", "error", err)
	}
}

// changed asks for a save. It never waits: a save that is asked for already is enough.
func (a *Alertmanager) changed() {
	select {
	case a.dirty <- struct{}{}:
	default:
	}
}

// saveChanges writes silences and notifications to disk as they change.
func (a *Alertmanager) saveChanges() {
	for {
		select {
		case <-a.stop:
			return // Alertmanager's own maintenance writes them once more
		case <-a.dirty:
		}
		for name, write := range map[string]func(io.Writer) (int64, error){"nflog": a.notifications.Snapshot, "silences": a.silences.Snapshot} {
			if err := save(filepath.Join(a.cfg.Dir, name), write); err != nil {
				a.cfg.Logger.Warn("silences and notifications are not saved", "error", err)
			}
		}
	}
}

// save replaces a file by a snapshot.
func save(path string, write func(io.Writer) (int64, error)) error {
	var b bytes.Buffer
	if _, err := write(&b); err != nil {
		return fmt.Errorf("take snapshot of %s: %w", filepath.Base(path), err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is there only after an error
	if _, err := f.Write(b.Bytes()); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("sync %s: %w", filepath.Base(path), err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("replace %s: %w", filepath.Base(path), err)
	}
	return nil
}
