package eventdb

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promauth"

	"github.com/mindscope/mindscope/internal/signal"
)

// NodeAuth is how this store shows storage nodes who it is. The zero value is nobody.
type NodeAuth struct {
	// User is the name of HTTP basic authentication. Without one the password is sent as a bearer token.
	User string
	// Password is the password itself, PasswordFile a file that holds it, which is read again when it changes. One of
	// them is set at most.
	Password, PasswordFile string
}

func (a NodeAuth) empty() bool { return a == NodeAuth{} }

// config returns what adds the credentials to requests. They can be read now.
func (a NodeAuth) config() (*promauth.Config, error) {
	opts := &promauth.Options{}
	switch {
	case a.empty():
	case a.User == "":
		opts.BearerToken, opts.BearerTokenFile = a.Password, a.PasswordFile
	default:
		opts.BasicAuth = &promauth.BasicAuthConfig{Username: a.User, PasswordFile: a.PasswordFile}
		if a.PasswordFile == "" {
			opts.BasicAuth.Password = promauth.NewSecret(a.Password)
		}
	}
	c, err := opts.NewConfig()
	if err == nil {
		_, err = c.GetAuthHeader()
	}
	if err != nil {
		return nil, signal.WithHint(fmt.Errorf("prepare requests to storage nodes: %w", err), "see the file that store.node_password_file names")
	}
	return c, nil
}

// errDenied: the node does not know us.
var errDenied = errors.New("the storage node refuses the credentials")

// errNoCredentials: what we show to nodes can't be read any more.
var errNoCredentials = errors.New("the credentials can't be read")

// denied returns the error of a node's answer that refuses us, nil of any other.
func (a NodeAuth) denied(addr string, status int) error {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return nil
	}
	hint := "set store.node_user and store.node_password_file (or the variable MINDSCOPE_STORE_NODE_PASSWORD) to what the node has as " +
		"-httpAuth.username and -httpAuth.password (docs/storage-nodes.md)"
	if !a.empty() {
		hint = "store.node_user and the password of store.node_password or store.node_password_file are not what the node has as " +
			"-httpAuth.username and -httpAuth.password; it must have no keys of its own for /metrics and /internal (docs/storage-nodes.md)"
	}
	return signal.WithHint(fmt.Errorf("storage node %s: %w: status %d", addr, errDenied, status), hint)
}
