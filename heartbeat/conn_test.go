package heartbeat_test

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnSizes moves writes and reads of all sizes, in both directions at once.
func TestConnSizes(t *testing.T) {
	a, b := tcpPair(t)
	near, far := wrap(t, a, b, minute)
	n, err := near.Write(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	n, err = near.Read(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	var wg sync.WaitGroup
	for _, ends := range [][2]*heartbeat.Conn{{near, far}, {far, near}} {
		data := random(3 << 20)
		wg.Go(func() {
			for sent := 0; sent < len(data); {
				n, err := ends[0].Write(data[sent:min(len(data), sent+1<<rand.IntN(21))])
				if !assert.NoError(t, err) {
					return
				}
				sent += n
			}
			assert.NoError(t, ends[0].CloseWrite())
		})
		wg.Go(func() {
			got := make([]byte, 0, len(data)+1)
			for {
				n, err := ends[1].Read(got[len(got):min(cap(got), len(got)+1<<rand.IntN(21))])
				got = got[:len(got)+n]
				if err != nil {
					assert.Equal(t, io.EOF, err)
					break
				}
			}
			requireEqualBytes(t, data, got)
		})
	}
	wg.Wait()
}

// TestConnInside: other connections than TCP do, too, and Close loses nothing there,
// either.
func TestConnInside(t *testing.T) {
	t.Parallel()
	cfg := heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 20 * time.Millisecond, Timeout: 20 * time.Second, Jitter: 0.5}}
	for name, connect := range map[string]func(t *testing.T) (a, b net.Conn){
		"TLS": func(t *testing.T) (a, b net.Conn) {
			server := httptest.NewTLSServer(nil) // has a certificate
			defer server.Close()
			near, far := tcpPair(t)
			return tls.Client(near, &tls.Config{InsecureSkipVerify: true}), tls.Server(far, server.TLS.Clone())
		},
		"Unix": func(t *testing.T) (a, b net.Conn) {
			dir, err := os.MkdirTemp("", "hb") // Wine 8 does not get rid of t.TempDir
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Skipf("not supported here: %v", err)
			}
			defer l.Close()
			near, err := net.Dial("unix", l.Addr().String())
			require.NoError(t, err)
			far, err := l.Accept()
			require.NoError(t, err)
			return near, far
		},
		"wrapper": func(t *testing.T) (a, b net.Conn) {
			near, far := tcpPair(t)
			return struct{ net.Conn }{near}, struct{ net.Conn }{far}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			near, far := wrap(t, a, b, cfg)
			data := random(1 << 20)
			for _, ends := range [][2]*heartbeat.Conn{{near, far}, {far, near}} {
				wrote := make(chan error, 1)
				go func() { _, err := ends[0].Write(data); wrote <- err }()
				got := make([]byte, len(data))
				_, err := io.ReadFull(ends[1], got)
				require.NoError(t, err)
				requireEqualBytes(t, data, got)
				require.NoError(t, <-wrote)
				time.Sleep(10 * cfg.Interval) // heartbeats
			}
			require.Eventually(t, func() bool { // a busy machine may answer a ping after the next one
				_, near1 := near.RTT()
				_, far1 := far.RTT()
				return near1 || far1
			}, 20*time.Second, time.Millisecond)
			go func() {
				_, err := near.Write(data)
				assert.NoError(t, err)
				if name == "wrapper" { // which hides CloseWrite
					assert.NoError(t, near.CloseWrite())
				} else {
					assert.NoError(t, near.Close())
				}
			}()
			got, err := io.ReadAll(far)
			require.NoError(t, err)
			requireEqualBytes(t, data, got)
		})
	}
}

func TestConnBad(t *testing.T) {
	a, _ := net.Pipe()
	_, err := heartbeat.NewConn(a, heartbeat.ConnConfig{})
	assert.EqualError(t, err, "heartbeat: Interval 0s: must be positive")
	fast := cfg10s
	fast.Interval = time.Millisecond - 1
	_, err = heartbeat.NewConn(a, fast)
	assert.ErrorContains(t, err, "heartbeat: Interval 999.999µs: must be at least 1ms for a Conn")
	_, err = heartbeat.NewConn(nil, cfg10s)
	assert.EqualError(t, err, "heartbeat: NewConn: conn is nil")
}
