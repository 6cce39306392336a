package integrations

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/selfsigned"
	"github.com/go-keepalive/keepalive/examples/integrations/internal/servers"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// relay passes connections on to a server, until it goes deaf to its clients.
type relay struct {
	net.Listener
	mu   sync.Mutex
	fars []*testpeer.Far
	deaf bool
}

func newRelay(t *testing.T, server string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: l}
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, far := range r.fars {
			far.Close()
		}
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			far := testpeer.Accepted(client.(*net.TCPConn))
			r.mu.Lock()
			r.fars = append(r.fars, far)
			if r.deaf { // for those who try again
				far.Deaf()
			}
			r.mu.Unlock()
			go func() { io.Copy(conn, client); conn.Close() }()
			go func() { io.Copy(client, conn); client.Close() }()
		}
	}()
	return r
}

// deafen drops whatever the clients send from now on.
func (r *relay) deafen(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.NotEmpty(t, r.fars)
	r.deaf = true
	for _, far := range r.fars {
		if err := far.Deaf(); err != nil {
			t.Errorf("the relay cannot go deaf: %v", err)
		}
	}
}

// TestDeafPeers: the error that a library returns for a dead peer is Dead.
func TestDeafPeers(t *testing.T) {
	t.Parallel()
	_, far := testpeer.New(t, "tcp")
	testpeer.SkipIfUnsupported(t, far.Deaf())
	d := keepalive.Dialer(nil, keepalive.DetectWithin(2*time.Second))
	// Without KeepError, pgx and go-redis read again after the error, and return the
	// io.EOF of that.
	keepAnd := func(onError func(net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return keepalive.KeepError(conn, onError), nil
		}
	}
	keep := keepAnd(nil)
	postgres := func(t *testing.T, onError func(net.Conn, error)) (*pgx.Conn, *relay) {
		server, _ := servers.Postgres(t)
		u, err := url.Parse(server)
		require.NoError(t, err)
		r := newRelay(t, u.Host)
		u.Host = r.Addr().String()
		cfg, err := pgx.ParseConfig(u.String())
		require.NoError(t, err)
		cfg.DialFunc = keepAnd(onError)
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn, r
	}
	for name, deafen := range map[string]func(t *testing.T) error{
		"http.Client, before the answer": func(t *testing.T) error {
			hold := make(chan bool)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/slow" {
					<-hold
				}
			}))
			t.Cleanup(s.Close)
			t.Cleanup(func() { close(hold) })
			r := newRelay(t, s.Listener.Addr().String())
			client := http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
			t.Cleanup(client.CloseIdleConnections)
			get := func(path string) error {
				resp, err := client.Get("http://" + r.Addr().String() + path)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				return err
			}
			require.NoError(t, get("/"))
			time.AfterFunc(100*time.Millisecond, func() { r.deafen(t) }) // by then it waits
			return get("/slow")
		},
		"http.Client, amid the answer": func(t *testing.T) error {
			hold := make(chan bool)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				io.WriteString(w, "the beginning")
				w.(http.Flusher).Flush()
				<-hold
			}))
			t.Cleanup(s.Close)
			t.Cleanup(func() { close(hold) })
			r := newRelay(t, s.Listener.Addr().String())
			client := http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
			resp, err := client.Get("http://" + r.Addr().String())
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.ReadFull(resp.Body, make([]byte, len("the beginning")))
			require.NoError(t, err)
			r.deafen(t)
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		},
		"http.Client, HTTP/2": func(t *testing.T) error {
			hold := make(chan bool)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				assert.Equal(t, 2, req.ProtoMajor)
				if req.URL.Path == "/slow" {
					<-hold
				}
			}))
			s.EnableHTTP2 = true
			s.StartTLS()
			t.Cleanup(s.Close)
			t.Cleanup(func() { close(hold) })
			r := newRelay(t, s.Listener.Addr().String())
			client := s.Client()
			client.Transport.(*http.Transport).DialContext = d.DialContext
			get := func(path string) error {
				resp, err := client.Get("https://" + r.Addr().String() + path)
				if err == nil {
					resp.Body.Close()
				}
				return err
			}
			require.NoError(t, get("/"))
			time.AfterFunc(100*time.Millisecond, func() { r.deafen(t) })
			return get("/slow")
		},
		"TLS": func(t *testing.T) error {
			server, client, err := selfsigned.Configs()
			require.NoError(t, err)
			l, err := tls.Listen("tcp", "127.0.0.1:0", server)
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go io.Copy(conn, conn)
				}
			}()
			r := newRelay(t, l.Addr().String())
			conn, err := (&tls.Dialer{NetDialer: d, Config: client}).Dial("tcp", r.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			_, err = conn.Write([]byte{1})
			require.NoError(t, err)
			_, err = io.ReadFull(conn, make([]byte, 1))
			require.NoError(t, err)
			r.deafen(t)
			_, err = conn.Read(make([]byte, 1))
			return err
		},
		"pgx": func(t *testing.T) error {
			kept := make(chan error, 2) // Close uses a second connection, to cancel
			conn, r := postgres(t, func(_ net.Conn, err error) { kept <- err })
			require.NoError(t, conn.Ping(t.Context()))
			r.deafen(t)
			// pgx 5.12 drops the error and returns "conn closed" (pgconn, NextResult).
			_, err := conn.Exec(t.Context(), "select 1")
			require.Error(t, err)
			select {
			case err = <-kept: // it was sent before Exec returned
			default:
			}
			return err
		},
		"pgx, waiting for a notification": func(t *testing.T) error {
			conn, r := postgres(t, nil)
			_, err := conn.Exec(t.Context(), "listen news")
			require.NoError(t, err)
			r.deafen(t)
			_, err = conn.WaitForNotification(t.Context())
			return err
		},
		"go-redis": func(t *testing.T) error {
			r := newRelay(t, servers.Redis(t))
			rdb := redis.NewClient(&redis.Options{
				Addr: r.Addr().String(), Dialer: keep,
				MaxRetries: -1, ReadTimeout: -1, // or its own three seconds might come first
			})
			t.Cleanup(func() { rdb.Close() })
			require.NoError(t, rdb.Ping(t.Context()).Err())
			r.deafen(t)
			return rdb.Ping(t.Context()).Err()
		},
		"go-redis, waiting for a message": func(t *testing.T) error {
			r := newRelay(t, servers.Redis(t))
			rdb := redis.NewClient(&redis.Options{Addr: r.Addr().String(), Dialer: keep})
			t.Cleanup(func() { rdb.Close() })
			sub := rdb.Subscribe(t.Context(), "news")
			t.Cleanup(func() { sub.Close() })
			_, err := sub.Receive(t.Context())
			require.NoError(t, err)
			r.deafen(t)
			_, err = sub.Receive(t.Context())
			return err
		},
	} {
		t.Run(strings.ReplaceAll(name, "/", ""), func(t *testing.T) {
			t.Parallel()
			err := deafen(t)
			require.Error(t, err)
			t.Log(err)
			assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err), "%#v", errors.Unwrap(err))
		})
	}
}
