package config

import (
	"strings"
	"testing"
)

// TestMindBusURL: a URL that can't be used is named, its password is not.
func TestMindBusURL(t *testing.T) {
	f := func(url string, ok bool) {
		t.Helper()
		c := Default(func(string) string { return "/home" })
		c.MindBus.URL = url
		err := c.Validate()
		if (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	f("", true)
	f("amqp://guest:secret@127.0.0.1:5672/", true)
	f("amqps://host/vhost", true)
	f("http://user:secret@host/", false)
	f("amqp://user:secret@:5672:x/", false)
	f("host:5672", false)
}
