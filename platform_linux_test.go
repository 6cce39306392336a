package keepalive

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVariantOfListener: the first socket that the package gets can be a listener. It does not show
// whether the system is Linux or gVisor.
func TestVariantOfListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	c, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	p := *host
	p.variants = &variants{detect: detectGVisor}
	require.NoError(t, c.Control(func(fd uintptr) { assert.Same(t, &p, p.variantOf(fd)) }))
	assert.Equal(t, host.variant() != host, p.variant() != &p, "asks again")
}
