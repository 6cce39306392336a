package heartbeat_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childEnv has the test binary play the other process: it names what to do and where. At its end,
// that process writes the delays of its control timer to the standard output, and the error to the
// standard error.
const childEnv = "HEARTBEAT_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, addr, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		delays := realtime.Delays()
		err := child(what, addr)
		for _, d := range delays() {
			fmt.Println(d)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The parallel tests here wait, for sockets and for death: all at once.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "100")
	}
	os.Exit(m.Run())
}

// child echoes over a Conn until the end of the data, or of the standard input. When it is to watch,
// it also watches over two more connections to the same address.
func child(what, addr string) error {
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			panic(err)
		}
		return conn
	}
	errs := make(chan error, 4)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		errs <- err
	}()
	conn := dial()
	c, err := heartbeat.NewConn(conn, quick)
	if err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(c, c)
		c.Close()
		for !errors.Is(conn.SetDeadline(time.Time{}), net.ErrClosed) { // Close returns before everything is delivered
			time.Sleep(time.Millisecond)
		}
		errs <- err
	}()
	if what == "watch" {
		second, third := dial(), dial()
		go func() {
			errs <- heartbeat.Run(context.Background(), quick.Config, func(context.Context) error {
				if _, err := second.Write([]byte{1}); err != nil {
					return err
				}
				_, err := second.Read(make([]byte, 1))
				return err
			})
		}()
		var m heartbeat.Monitor
		p, err := m.Add(quick.Config, func() error {
			_, err := third.Write([]byte{1})
			return err
		}, func(e *heartbeat.DeadError) { errs <- e })
		if err != nil {
			return err
		}
		go func() {
			for {
				if _, err := third.Read(make([]byte, 1)); err != nil {
					return
				}
				p.Heard()
			}
		}()
	}
	return <-errs
}

// tcpPair returns both ends of a connection over loopback.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// wrap makes a Conn of both ends.
func wrap(t testing.TB, a, b net.Conn, cfg heartbeat.ConnConfig) (near, far *heartbeat.Conn) {
	t.Helper()
	near, err := heartbeat.NewConn(a, cfg)
	require.NoError(t, err)
	far, err = heartbeat.NewConn(b, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

var minute = heartbeat.ConnConfig{Config: heartbeat.Config{Interval: time.Minute, Timeout: 2 * time.Minute}}

var cfg10s = heartbeat.ConnConfig{Config: tenSeconds}

// pipe returns both ends of a connection in memory, each a Conn.
func pipe(t *testing.T, cfg heartbeat.ConnConfig) (near, far *heartbeat.Conn) {
	a, b := net.Pipe()
	return wrap(t, a, b, cfg)
}

// raw is a peer that a test plays by hand.
type raw struct {
	t *testing.T
	net.Conn
}

// rawPeer returns a Conn and the bare connection at its other end.
func rawPeer(t *testing.T, cfg heartbeat.ConnConfig) (*heartbeat.Conn, raw) {
	a, b := net.Pipe()
	c, err := heartbeat.NewConn(a, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); b.Close() })
	return c, raw{t, b}
}

func (r raw) send(b ...string) {
	r.t.Helper()
	_, err := io.WriteString(r.Conn, strings.Join(b, ""))
	require.NoError(r.t, err)
}

// drain reads everything, until the end.
func (r raw) drain() { go io.Copy(io.Discard, r.Conn) }

// requireDeadError checks what the methods of a Conn return when the peer is dead.
func requireDeadError(t testing.TB, err error) *heartbeat.DeadError {
	t.Helper()
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	var dead *heartbeat.DeadError
	require.ErrorAs(t, err, &dead)
	assert.False(t, op.Timeout(), "code that retries on Timeout would spin")
	return dead
}

func requireEqualBytes(t testing.TB, want, got []byte) {
	t.Helper()
	require.True(t, bytes.Equal(want, got), "the data differs: %d bytes sent, %d received", len(want), len(got))
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// assertAlive checks that no end has closed the connection.
func assertAlive(t *testing.T, conns ...*heartbeat.Conn) {
	t.Helper()
	for _, c := range conns {
		assert.False(t, c.Ended())
	}
}
