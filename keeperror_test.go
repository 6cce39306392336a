package keepalive

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeepError: the plain connection tells its end once, with KeepError it is
// told every time, to readers and writers.
func TestKeepError(t *testing.T) {
	t.Parallel()
	for _, wrap := range []func(net.Conn) net.Conn{func(c net.Conn) net.Conn { return c }, KeepError} {
		tcp, far := testpeer.New(t, "tcp")
		conn := wrap(tcp)
		require.NoError(t, far.Reset())
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 1)
		_, first := conn.Read(b)
		if first == io.EOF && reset(first) {
			t.Skip("not supported here: Wine 8 makes an end of it")
		}
		require.Equal(t, Reset, Diagnose(first))
		_, second := conn.Read(b)
		_, third := conn.Write(b)
		if conn == net.Conn(tcp) {
			t.Logf("%v; %v; %v", first, second, third)
			continue
		}
		assert.Equal(t, first, second)
		assert.Equal(t, first, third)
		conn.Close()
		_, err := conn.Read(b)
		assert.Equal(t, first, err)
	}
}

// TestKeepErrorPassesOn: all else is as it was.
func TestKeepErrorPassesOn(t *testing.T) {
	t.Parallel()
	tcp, far := testpeer.New(t, "tcp")
	conn := KeepError(tcp)
	if err := Enable(conn, Options{Idle: 45 * time.Second}); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		o, err := Get(conn)
		if !errors.Is(err, errors.ErrUnsupported) {
			require.NoError(t, err)
			assert.Equal(t, 45*time.Second, o.Idle)
		}
	}
	exchange(t, conn, far)
	b := make([]byte, 1)
	conn.SetReadDeadline(time.Now().Add(-time.Second))
	_, err := conn.Read(b)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	exchange(t, conn, far)
	require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	far.Close()
	_, err = conn.Read(b)
	assert.Equal(t, EOF, Diagnose(err))
	conn.Close()
	_, err = conn.Read(b)
	assert.ErrorIs(t, err, net.ErrClosed)

	pipe, _ := net.Pipe()
	conn = KeepError(pipe)
	assert.ErrorIs(t, conn.(interface{ CloseWrite() error }).CloseWrite(), errors.ErrUnsupported)
	assert.ErrorIs(t, Enable(conn, Options{}), ErrNotTCP)
}
