package servicetest_test

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/mindscope/mindscope/sdk/servicetest"
)

// TestServices starts both services beside each other, ends them and starts them again where they were.
func TestServices(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servicetest.Service{
		"rabbitmq": servicetest.RabbitMQ,
		"postgres": servicetest.PostgreSQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			first := s.URL
			reachable(t, first, true)
			s.Kill(t)
			reachable(t, first, false)
			s.Start(t)
			if s.URL != first {
				t.Errorf("started again at %s, was at %s", s.URL, first)
			}
			reachable(t, first, true)
			s.Stop(t)
			reachable(t, first, false)
		})
	}
}

func reachable(t *testing.T, address string, want bool) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err == nil {
		conn.Close()
	}
	if got := err == nil; got != want {
		t.Errorf("%s is reachable: %v, want %v", u.Host, got, want)
	}
}
