package heartbeat_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/heartbeatstress"
)

// connect returns both ends of a connection to a new listener.
func connect(network, address string) (near, far net.Conn, err error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial(network, l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}

// TestStress runs random traffic over many transports. For a long run:
//
//	go test ./heartbeat -run TestStress -timeout 0 -stress-cases 10000
func TestStress(t *testing.T) {
	server := httptest.NewTLSServer(nil) // has a certificate
	defer server.Close()
	dir, err := os.MkdirTemp("", "hb") // Wine 8 cannot remove t.TempDir
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	nothing := func() {}
	heartbeatstress.Run(t,
		heartbeatstress.Transport{Name: "TCP", Connect: func() (a, b net.Conn, cleanup func(), err error) {
			a, b, err = connect("tcp", "127.0.0.1:0")
			return a, b, nothing, err
		}},
		heartbeatstress.Transport{Name: "Unix", Connect: func() (a, b net.Conn, cleanup func(), err error) {
			path, err := os.MkdirTemp(dir, "")
			if err == nil {
				a, b, err = connect("unix", filepath.Join(path, "s"))
			}
			return a, b, nothing, err
		}},
		heartbeatstress.Transport{Name: "TLS", Connect: func() (a, b net.Conn, cleanup func(), err error) {
			a, b, err = connect("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, nil, nil, err
			}
			return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, server.TLS.Clone()), nothing, nil
		}},
		heartbeatstress.Transport{Name: "Pipe", Connect: func() (a, b net.Conn, cleanup func(), err error) {
			a, b = net.Pipe()
			return a, b, nothing, nil
		}},
		heartbeatstress.Transport{Name: "KeepError", Connect: func() (a, b net.Conn, cleanup func(), err error) {
			a, b, err = connect("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, nil, nil, err
			}
			return keepalive.KeepError(a, nil), keepalive.KeepError(b, nil), nothing, nil
		}},
	)
}
