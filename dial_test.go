package keepalive_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inForce checks that conn has o where o says something, and returns what it
// has. It skips the test where this system cannot tell.
func inForce(t testing.TB, conn net.Conn, o keepalive.Options) keepalive.Options {
	t.Helper()
	got, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	want := got
	want.Disabled = o.Disabled
	if got.UserTimeout == 0 { // there is none here
		o.UserTimeout = 0
	}
	for f := range keepalive.NumFields {
		if v := f.Of(o); v != 0 {
			f.Set(&want, v)
		}
	}
	require.Equal(t, rounded(want), got)
	return got
}

// sink accepts connections and holds them open until the test ends.
func sink(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return l
}

var dialed = keepalive.Options{Idle: 44 * time.Second, Interval: 14 * time.Second, Count: 4, UserTimeout: 90 * time.Second}

func TestDialer(t *testing.T) {
	t.Parallel()
	l := sink(t, "tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	var called []string
	control := func(network, address string, c syscall.RawConn) error {
		called = append(called, network)
		// What the hook sets, o overwrites; what o leaves alone, stays.
		return keepalive.Options{Idle: 99 * time.Second, Interval: 59 * time.Second}.Control(network, address, c)
	}
	for _, c := range []struct {
		name string
		d    *net.Dialer
		addr string
		hook bool
	}{
		{"nil", nil, addr, false},
		{"empty", &net.Dialer{}, addr, false},
		{"net's own keepalive on", &net.Dialer{KeepAlive: 33 * time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Count: 2}}, addr, false},
		{"Control", &net.Dialer{Control: control}, addr, true},
		{"ControlContext", &net.Dialer{ControlContext: func(_ context.Context, network, address string, c syscall.RawConn) error {
			return control(network, address, c)
		}}, addr, true},
		{"both", &net.Dialer{
			Control: func(string, string, syscall.RawConn) error { return errors.New("not to be called") },
			ControlContext: func(_ context.Context, network, address string, c syscall.RawConn) error {
				return control(network, address, c)
			}}, addr, true},
		{"LocalAddr", &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, addr, false},
		{"happy eyeballs", &net.Dialer{FallbackDelay: time.Millisecond}, "localhost:" + port, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := net.LookupHost("localhost"); err != nil && c.d != nil && c.d.FallbackDelay != 0 {
				t.Skipf("not supported here: %v", err)
			}
			called = nil
			var before net.Dialer
			if c.d != nil {
				before = *c.d
			}
			conn, err := keepalive.Dialer(c.d, dialed).Dial("tcp", c.addr)
			require.NoError(t, err)
			defer conn.Close()
			inForce(t, conn, dialed)
			if c.hook {
				assert.Equal(t, []string{"tcp4"}, called)
			}
			if c.d != nil { // unchanged
				assert.Equal(t, before.KeepAlive, c.d.KeepAlive)
				assert.Equal(t, before.KeepAliveConfig, c.d.KeepAliveConfig)
				assert.Equal(t, before.Control == nil, c.d.Control == nil)
				assert.Equal(t, before.ControlContext == nil, c.d.ControlContext == nil)
			}
		})
	}
	t.Run("d changed afterwards", func(t *testing.T) {
		d := &net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return nil }}
		ours := keepalive.Dialer(d, dialed)
		d.ControlContext, d.KeepAlive = nil, time.Hour
		conn, err := ours.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, dialed)
	})
	t.Run("what is left alone", func(t *testing.T) {
		conn, err := keepalive.Dialer(&net.Dialer{Control: control}, keepalive.Options{Interval: 14 * time.Second}).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, keepalive.Options{Idle: 99 * time.Second, Interval: 14 * time.Second})
	})
	t.Run("nothing but on", func(t *testing.T) {
		fresh, _ := testpeer.New(t, "tcp")
		want, err := keepalive.Get(fresh)
		testpeer.SkipIfUnsupported(t, err)
		want.Disabled = false
		conn, err := keepalive.Dialer(nil, keepalive.Options{}).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		assert.Equal(t, want, inForce(t, conn, keepalive.Options{}), "the system's own timing, not package net's")
	})
	t.Run("off", func(t *testing.T) {
		conn, err := keepalive.Dialer(nil, keepalive.Options{Disabled: true}).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, keepalive.Options{Disabled: true})
	})
	t.Run("Multipath TCP", func(t *testing.T) {
		var d net.Dialer
		d.SetMultipathTCP(true)
		conn, err := keepalive.Dialer(&d, dialed).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, dialed)
		times := keepalive.Options{Idle: dialed.Idle, Interval: dialed.Interval, Count: dialed.Count}
		conn, err = keepalive.Dialer(&d, times).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, times)
	})
}

func TestDialerErrors(t *testing.T) {
	t.Parallel()
	l := sink(t, "tcp", "127.0.0.1:0")
	_, err := keepalive.Dialer(nil, keepalive.Options{Idle: 44 * time.Second, Count: -1}).Dial("tcp", l.Addr().String())
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	var oe *keepalive.OptionError
	require.ErrorAs(t, op.Err, &oe)
	assert.Equal(t, "Count", oe.Option)

	mine := errors.New("mine")
	for _, d := range []*net.Dialer{
		{Control: func(string, string, syscall.RawConn) error { return mine }},
		{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return mine }},
	} {
		_, err = keepalive.Dialer(d, keepalive.Options{Count: -1}).Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, mine)
	}
}

func TestDialerInClients(t *testing.T) {
	t.Parallel()
	got := make(chan keepalive.Options, 1)
	capture := func(conn net.Conn, err error) (net.Conn, error) {
		if err == nil {
			o, gerr := keepalive.Get(conn)
			if gerr != nil && !errors.Is(gerr, errors.ErrUnsupported) {
				return nil, gerr
			}
			got <- o
		}
		return conn, err
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "https://")
	conf := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.ServerName = "example.com"

	t.Run("tls.Dialer", func(t *testing.T) {
		conn, err := (&tls.Dialer{NetDialer: keepalive.Dialer(nil, dialed), Config: conf}).Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		inForce(t, conn, dialed)
	})
	t.Run("http.Transport", func(t *testing.T) {
		tr := &http.Transport{TLSClientConfig: conf, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return capture(keepalive.Dialer(nil, dialed).DialContext(ctx, network, addr))
		}}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(server.URL)
		require.NoError(t, err)
		resp.Body.Close()
		assert.False(t, (<-got).Disabled)
	})
}
