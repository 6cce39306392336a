//go:build unix

package heartbeat_test

import (
	"testing"

	"github.com/go-keepalive/keepalive/internal/heartbeatstress"
)

func init() { heartbeatstress.Child() }

// TestStressProcesses runs random traffic between two processes, of which one is
// stopped again and again.
func TestStressProcesses(t *testing.T) {
	t.Parallel()
	heartbeatstress.RunProcesses(t)
}
