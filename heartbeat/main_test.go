package heartbeat

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childEnv has the test binary play the other process: it names what to do and where.
const childEnv = "HEARTBEAT_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, addr, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		if err := child(what, addr); err != nil {
			fmt.Println(err)
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

// child echoes over a Conn until the end of the data. When it is to watch, it also
// watches over two more connections to the same address.
func child(what, addr string) error {
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			panic(err)
		}
		return conn
	}
	errs := make(chan error, 3)
	c, err := NewConn(dial(), quick)
	if err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(c, c)
		errs <- err
	}()
	if what == "watch" {
		second, third := dial(), dial()
		go func() {
			errs <- Run(context.Background(), quick.Config, func(context.Context) error {
				if _, err := second.Write([]byte{1}); err != nil {
					return err
				}
				_, err := second.Read(make([]byte, 1))
				return err
			})
		}()
		var m Monitor
		p, err := m.Add(quick.Config, func() error {
			_, err := third.Write([]byte{1})
			return err
		}, func(e *DeadError) { errs <- e })
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
func wrap(t testing.TB, a, b net.Conn, cfg ConnConfig) (near, far *Conn) {
	t.Helper()
	near, err := NewConn(a, cfg)
	require.NoError(t, err)
	far, err = NewConn(b, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

var minute = ConnConfig{Config: Config{Interval: time.Minute, Timeout: 2 * time.Minute}}
