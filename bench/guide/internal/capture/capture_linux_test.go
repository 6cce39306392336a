package capture

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/internal/netns"
)

// inNamespace runs f in a thread that has a network namespace with a loopback interface, so
// that there are no packets of others.
func inNamespace(t testing.TB, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends
		err := netns.New()
		if err == nil {
			defer close(done)
			f()
			return
		}
		done <- err
	}()
	if err := <-done; errors.Is(err, os.ErrPermission) && os.Getenv("CI") != "true" {
		t.Skipf("not supported here: %v", err)
	} else {
		require.NoError(t, err)
	}
}

// TestCapture records a connection on the loopback interface, where each packet is sent and
// received.
func TestCapture(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var c *Capture
	var l net.Listener
	var conn net.Conn
	var captureErr, listenErr, dialErr error
	inNamespace(t, func() {
		if c, captureErr = Start("lo"); captureErr != nil {
			return
		}
		if l, listenErr = net.Listen("tcp4", "127.0.0.1:0"); listenErr == nil {
			conn, dialErr = net.Dial("tcp4", l.Addr().String())
		}
	})
	require.NoError(t, errors.Join(captureErr, listenErr, dialErr))
	defer l.Close()
	defer conn.Close()
	_, err := conn.Write([]byte("hello"))
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	port := conn.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	data, err := c.Wait(ctx, func(p Packet) bool { return p.Src.Port() == port && !p.Out && p.Payload > 0 })
	require.NoError(t, err)
	assert.Equal(t, 5, data.Payload)
	assert.Equal(t, 14+20+20+12+5, data.Frame)
	assert.Equal(t, 64, data.TTL)
	assert.WithinRange(t, data.Time, start.Add(-time.Second), time.Now().Add(time.Second))

	canceled, cancelNow := context.WithCancel(ctx)
	cancelNow()
	_, err = c.Wait(canceled, func(Packet) bool { return false })
	require.ErrorIs(t, err, context.Canceled)

	packets, err := c.Stop()
	require.NoError(t, err)
	var own []Packet
	for _, p := range packets {
		if p.Src.Port() == port && p.Out {
			own = append(own, p)
		}
	}
	require.GreaterOrEqual(t, len(own), 3)
	relative := Relative(own)
	assert.Equal(t, SYN, relative[0].Flags)
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), own[0].Dst.Addr())
	assert.Equal(t, uint32(1), relative[2].Seq)
	assert.Equal(t, 5, relative[2].Payload)
	_, err = c.Wait(ctx, func(Packet) bool { return false })
	assert.ErrorContains(t, err, "stopped")
}

func TestStartError(t *testing.T) {
	t.Parallel()
	_, err := Start("no-such-intf")
	assert.ErrorContains(t, err, "no-such-intf")
}
