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
		heartbeatstress.Transport{Name: "TCP", Connect: func(small bool) (a, b net.Conn, cleanup func(), err error) {
			a, b, err = heartbeatstress.Connect("tcp", "127.0.0.1:0", small)
			return a, b, nothing, err
		}},
		heartbeatstress.Transport{Name: "Unix", Connect: func(small bool) (a, b net.Conn, cleanup func(), err error) {
			path, err := os.MkdirTemp(dir, "")
			if err == nil {
				a, b, err = heartbeatstress.Connect("unix", filepath.Join(path, "s"), small)
			}
			return a, b, nothing, err
		}},
		heartbeatstress.Transport{Name: "TLS", Connect: func(small bool) (a, b net.Conn, cleanup func(), err error) {
			a, b, err = heartbeatstress.Connect("tcp", "127.0.0.1:0", small)
			if err != nil {
				return nil, nil, nil, err
			}
			return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, server.TLS.Clone()), nothing, nil
		}},
		heartbeatstress.Transport{Name: "Pipe", Connect: func(bool) (a, b net.Conn, cleanup func(), err error) {
			a, b = net.Pipe()
			return a, b, nothing, nil
		}},
		heartbeatstress.Transport{Name: "KeepError", Connect: func(small bool) (a, b net.Conn, cleanup func(), err error) {
			a, b, err = heartbeatstress.Connect("tcp", "127.0.0.1:0", small)
			if err != nil {
				return nil, nil, nil, err
			}
			return keepalive.KeepError(a, nil), keepalive.KeepError(b, nil), nothing, nil
		}},
	)
}
