// Package nettest holds heartbeat.Conn against golang.org/x/net/nettest, which
// says what a net.Conn must do.
package nettest

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-keepalive/keepalive/heartbeat"
)

func TestConn(t *testing.T) {
	for network, connect := range map[string]func() (net.Conn, net.Conn, error){
		"pipe": func() (net.Conn, net.Conn, error) {
			a, b := net.Pipe()
			return a, b, nil
		},
		"tcp": func() (net.Conn, net.Conn, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, nil, err
			}
			defer l.Close()
			a, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return nil, nil, err
			}
			b, err := l.Accept()
			return a, b, err
		},
	} {
		for name, interval := range map[string]time.Duration{
			"quiet": time.Minute,
			"busy":  time.Millisecond, // pings between all that it does
		} {
			t.Run(network+"/"+name, func(t *testing.T) {
				t.Parallel()
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					a, b, err := connect()
					if err != nil {
						return nil, nil, nil, err
					}
					cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: interval, Timeout: 2 * time.Minute, Jitter: 0.5}}
					c, err := heartbeat.NewConn(a, cfg)
					require.NoError(t, err)
					d, err := heartbeat.NewConn(b, cfg)
					require.NoError(t, err)
					return c, d, func() { c.Close(); d.Close() }, nil
				})
			})
		}
	}
}
