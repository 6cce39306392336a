package heartbeat_test

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quick are settings for real time.
var quick = heartbeat.ConnConfig{Config: heartbeat.Config{Interval: 400 * time.Millisecond, Timeout: 1500 * time.Millisecond, Jitter: 0.1}}

// inTime checks that a death that began at start was noticed when it should be.
func inTime(t testing.TB, cfg heartbeat.ConnConfig, start time.Time, silence time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, silence, cfg.Timeout)
	assert.Less(t, time.Since(start), 2*cfg.Timeout+time.Second, "and one fresh round, if the machine is busy")
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

//go:embed testdata/peer.py
var peerPy string

// TestPython: a peer in another language, written from FORMAT.md, exchanges data
// and heartbeats with a Conn, and each finds the other dead.
func TestPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("not supported here: %v", err)
	}
	// start runs the peer, and returns a Conn to it, and what it prints.
	start := func(t testing.TB, cfg heartbeat.ConnConfig, interval, timeout string) (*heartbeat.Conn, <-chan string) {
		l := listen(t)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		cmd := exec.Command(python, "-c", peerPy, port, interval, timeout)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var complaints lines
		cmd.Stderr = &complaints
		require.NoError(t, cmd.Start())
		words := make(chan string, 1)
		go func() {
			line, _ := bufio.NewReader(out).ReadString('\n')
			words <- line + complaints.String()
		}()
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		conn, err := l.Accept()
		require.NoError(t, err)
		c, err := heartbeat.NewConn(conn, cfg)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c, words
	}
	// The side with the shorter interval asks; the other need not.
	for name, asks := range map[string]struct {
		own   time.Duration
		peers string
	}{"asked": {time.Minute, "0.2"}, "asking": {200 * time.Millisecond, "60"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pings atomic.Int32
			c, words := start(t, heartbeat.ConnConfig{
				Config:  heartbeat.Config{Interval: asks.own, Timeout: 2 * time.Minute},
				Payload: func() []byte { return []byte("from Go") },
				OnPing: func(payload []byte) {
					assert.Equal(t, "from Python", string(payload))
					pings.Add(1)
				},
			}, asks.peers, "120")
			data := random(1 << 20)
			go c.Write(data)
			got := make([]byte, len(data))
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			requireEqualBytes(t, data, got)
			require.Eventually(t, func() bool {
				_, answered := c.RTT()
				return answered || pings.Load() > 2
			}, 20*time.Second, 10*time.Millisecond)
			require.NoError(t, c.CloseWrite())
			_, err = c.Read(got)
			assert.Equal(t, io.EOF, err)
			var said, carried, pongs int
			_, err = fmt.Sscanf(<-words, "end pings %d carried %d pongs %d\n", &said, &carried, &pongs)
			require.NoError(t, err)
			assert.Equal(t, said*len("from Go"), carried)
			assert.Equal(t, name == "asking", said > 0)
			assert.Equal(t, name == "asked", pongs > 0)
		})
	}
	t.Run("it hangs", realtime.Test(func(t testing.TB) {
		c, _ := start(t, quick, "0.2", "20")
		began := time.Now()
		_, err := c.Write([]byte("hang"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		dead := requireDeadError(t, err)
		inTime(t, quick, began, dead.Silence)
		assert.Positive(t, dead.Unanswered)
	}))
	t.Run("this side hangs", func(t *testing.T) {
		t.Parallel()
		l := listen(t)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		cmd := exec.Command(python, "-c", peerPy, port, "0.2", "1")
		go func() {
			if conn, err := l.Accept(); assert.NoError(t, err) {
				t.Cleanup(func() { conn.Close() }) // and says nothing
			}
		}()
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Equal(t, "dead pings 0 carried 0 pongs 0\n", string(out))
	})
}

// lines keeps what a command says.
type lines struct{ text atomic.Value }

func (l *lines) Write(b []byte) (int, error) {
	l.text.Store(l.String() + string(b))
	return len(b), nil
}

func (l *lines) String() string { s, _ := l.text.Load().(string); return s }

// deaf returns a connection whose far end sends back each byte it gets, until it is
// made deaf. To a Conn that reads as a peer, for both ends are alike.
func deaf(t testing.TB) (*net.TCPConn, *testpeer.Far) {
	if os.Getenv(testpeer.Env) != "" {
		t.Skip("not supported here: a peer daemon that echoes and reads commands at the same time")
	}
	conn, far := testpeer.New(t, "tcp")
	go func() {
		for far.Echo() == nil {
		}
	}()
	return conn, far
}

// TestDeafPeer: on real sockets, a pulled cable is noticed by all three.
func TestDeafPeer(t *testing.T) {
	t.Parallel()
	t.Run("Conn", realtime.Test(func(t testing.TB) {
		conn, far := deaf(t)
		c, err := heartbeat.NewConn(conn, quick)
		require.NoError(t, err)
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(2 * quick.Timeout))
		_, err = c.Read(make([]byte, 1))
		require.ErrorContains(t, err, "i/o timeout", "it lives")
		testpeer.SkipIfUnsupported(t, far.Deaf())
		began := time.Now()
		c.SetReadDeadline(time.Time{})
		_, err = c.Read(make([]byte, 1))
		inTime(t, quick, began, requireDeadError(t, err).Silence)
	}))
	t.Run("Run", realtime.Test(func(t testing.TB) {
		conn, far := deaf(t)
		pings := 0
		var began time.Time
		err := heartbeat.Run(t.Context(), quick.Config, func(ctx context.Context) error {
			if pings++; pings == 10 {
				if err := far.Deaf(); err != nil {
					return errors.Join(io.EOF, err)
				}
				began = time.Now()
			}
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			if _, err := conn.Write([]byte{1}); err != nil {
				return err
			}
			_, err := conn.Read(make([]byte, 1))
			return err
		})
		var dead *heartbeat.DeadError
		if !errors.As(err, &dead) {
			testpeer.SkipIfUnsupported(t, err)
		}
		require.False(t, began.IsZero(), "it lives")
		inTime(t, quick, began, dead.Silence)
	}))
	t.Run("Monitor", realtime.Test(func(t testing.TB) {
		conn, far := deaf(t)
		var m heartbeat.Monitor
		defer m.Stop()
		died := make(chan *heartbeat.DeadError, 1)
		p, err := m.Add(quick.Config, func() error {
			_, err := conn.Write([]byte{1})
			return err
		}, func(e *heartbeat.DeadError) { died <- e })
		require.NoError(t, err)
		go func() {
			for {
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					return
				}
				p.Heard()
			}
		}()
		select {
		case e := <-died:
			t.Fatal(e)
		case <-time.After(2 * quick.Timeout):
		}
		testpeer.SkipIfUnsupported(t, far.Deaf())
		began := time.Now()
		e := <-died
		inTime(t, quick, began, e.Silence)
		assert.Positive(t, e.Unanswered)
	}))
}

// TestDeadBackend: a backend ends, and the proxy before it still answers TCP segments. Keepalive does
// not detect that, and heartbeats do.
func TestDeadBackend(t *testing.T) { realtime.Test(testDeadBackend)(t) }

func testDeadBackend(t testing.TB) {
	backend := listen(t)
	go func() {
		conn, err := backend.Accept()
		if err != nil {
			return
		}
		c, err := heartbeat.NewConn(conn, quick)
		if assert.NoError(t, err) {
			io.Copy(c, c)
		}
	}()
	proxy := listen(t)
	died := make(chan struct{})
	go func() {
		client, err := proxy.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", backend.Addr().String())
		if !assert.NoError(t, err) {
			return
		}
		go io.Copy(client, server)
		b := make([]byte, 1000)
		for {
			n, err := client.Read(b)
			if err != nil {
				return
			}
			select {
			case <-died: // it is gone, and nobody tells the client
				server.Close()
			default:
				server.Write(b[:n])
			}
		}
	}()
	conn, err := net.Dial("tcp", proxy.Addr().String())
	require.NoError(t, err)
	o := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}
	c, err := heartbeat.NewConn(conn, quick)
	require.NoError(t, err)
	defer c.Close()
	if err := keepalive.Enable(c, o); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err, "it finds the socket in a Conn")
	}
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	close(died)
	began := time.Now()
	_, err = c.Read(make([]byte, 1))
	inTime(t, quick, began, requireDeadError(t, err).Silence)
}
