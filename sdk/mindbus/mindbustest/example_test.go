package mindbustest_test

import (
	"testing"

	"github.com/mindscope/mindscope/sdk/mindbus"
	"github.com/mindscope/mindscope/sdk/mindbus/mindbustest"
)

// TestExample is the test of a transport, here of the one in memory.
func TestExample(t *testing.T) {
	mindbustest.Run(t, func(*testing.T) mindbus.Transport { return mindbus.NewMemory() })
}
