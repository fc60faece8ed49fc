package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/mindbus/rabbitmq"
)

// TestOpenKeepsPasswords: what is wrong with a URL is said without the URL.
func TestOpenKeepsPasswords(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		tr, err := rabbitmq.Open(within(t, time.Second), address, rabbitmq.Config{})
		if err == nil {
			tr.Close()
			t.Fatalf("%s opens", address)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v, want %q and no password", err, want)
		}
	}
	f("amqp://user:hush%zz@127.0.0.1:1/", "%25")
	f("amqp://user:%hush@127.0.0.1:1/", "%25")
	f("amqp://user:hush/hush@127.0.0.1:1/", "%2F")
	f("user:hush@127.0.0.1:1", "scheme")
	f("http://user:hush@127.0.0.1:1/", "scheme")
	f("amqp://user:hush hush@127.0.0.1:1/", "whitespace")
}
