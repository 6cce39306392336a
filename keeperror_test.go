package keepalive_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeepError: the kernel returns the error once, and KeepError always.
func TestKeepError(t *testing.T) {
	t.Parallel()
	tcp, far := testpeer.New(t, "tcp")
	var calls []error
	conn := keepalive.KeepError(tcp, func(c net.Conn, err error) {
		assert.Equal(t, net.Conn(tcp), c)
		calls = append(calls, err)
	})
	require.NoError(t, far.Reset())
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 1)
	_, first := conn.Read(b)
	if resetIsEOF && first == io.EOF {
		t.Skip("not supported here: Wine 8 reports a reset as io.EOF")
	}
	require.Equal(t, keepalive.Reset, keepalive.Diagnose(first))
	var op *net.OpError
	require.ErrorAs(t, first, &op)
	_, err := tcp.Read(b)
	if runtime.GOOS == "linux" {
		assert.Equal(t, io.EOF, err, "without KeepError")
	}
	for range 2 {
		_, err = conn.Read(b)
		assert.Equal(t, first, err)
		_, err = conn.Write(b)
		assert.Equal(t, first, err)
	}
	conn.Close()
	_, err = conn.Read(b)
	assert.Equal(t, first, err)
	assert.Equal(t, []error{first}, calls)
}

// scripted is a connection whose Read and Write return these errors.
type scripted struct {
	hidden
	mu            sync.Mutex
	reads, writes []error
}

func (s *scripted) next(errs *[]error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := (*errs)[0]
	*errs = (*errs)[1:]
	return err
}

func (s *scripted) Read([]byte) (int, error)  { return 0, s.next(&s.reads) }
func (s *scripted) Write([]byte) (int, error) { return 0, s.next(&s.writes) }

// TestKeepErrorIsNoTimeout: some libraries take every timeout for an expired deadline.
func TestKeepErrorIsNoTimeout(t *testing.T) {
	t.Parallel()
	timedOut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", fakeErr{timeout: true, dead: true})}
	require.True(t, timedOut.Timeout())
	_, err := keepalive.KeepError(&scripted{reads: []error{timedOut}}, nil).Read(nil)
	assert.IsType(t, timedOut, err, "some libraries test for *net.OpError without errors.As")
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	assert.False(t, ne.Timeout())
	assert.False(t, os.IsTimeout(err))
	assert.ErrorIs(t, err, timedOut)
	assert.Equal(t, keepalive.Dead, keepalive.Diagnose(err))
	assert.Equal(t, timedOut.Error(), err.Error())
}

// TestKeepErrorKeepsLittle: only an error that ends the connection is kept.
func TestKeepErrorKeepsLittle(t *testing.T) {
	t.Parallel()
	dead := &fakeErr{dead: true}
	pass := []error{os.ErrDeadlineExceeded, io.EOF, net.ErrClosed, errors.New("else")}
	s := &scripted{reads: append(pass, dead, io.EOF), writes: []error{errBrokenPipe, errBrokenPipe}}
	conn := keepalive.KeepError(s, nil)
	if keepalive.IsBrokenPipe(errBrokenPipe) {
		_, err := conn.Write(nil)
		assert.Equal(t, errBrokenPipe, err, "EPIPE does not contain the reason")
	}
	for _, want := range pass {
		_, err := conn.Read(nil)
		assert.Equal(t, want, err)
	}
	for range 2 {
		_, err := conn.Read(nil)
		assert.ErrorIs(t, err, dead)
		_, err = conn.Write(nil)
		assert.ErrorIs(t, err, dead)
		s.writes = []error{errBrokenPipe, errBrokenPipe}
		s.reads = []error{io.EOF}
	}
}

// TestKeepErrorOnce: readers and writers that fail at the same time get one error.
func TestKeepErrorOnce(t *testing.T) {
	t.Parallel()
	const n = 50
	s := &scripted{}
	for range n {
		s.reads = append(s.reads, fakeErr{dead: true, wraps: []error{errors.New("else")}})
		s.writes = append(s.writes, fakeErr{dead: true})
	}
	var mu sync.Mutex
	var reported, returned []error
	conn := keepalive.KeepError(s, func(_ net.Conn, err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err)
	})
	var wg sync.WaitGroup
	for range n {
		for _, do := range []func([]byte) (int, error){conn.Read, conn.Write} {
			wg.Go(func() {
				_, err := do(nil)
				mu.Lock()
				defer mu.Unlock()
				returned = append(returned, err)
			})
		}
	}
	wg.Wait()
	require.Len(t, reported, 1)
	for _, err := range returned {
		require.Same(t, reported[0], err)
	}
}

// TestKeepErrorMethods: the result has the optional methods of the connection, and no
// others, because pools test idle connections with them.
func TestKeepErrorMethods(t *testing.T) {
	t.Parallel()
	tcp, _ := testpeer.New(t, "tcp")
	pipe, _ := net.Pipe()
	for name, c := range map[string]struct {
		conn                    net.Conn
		syscallConn, closeWrite bool
	}{
		"TCP":              {tcp, true, true},
		"TLS":              {tls.Client(tcp, &tls.Config{ServerName: "x"}), false, true},
		"pipe":             {pipe, false, false},
		"only SyscallConn": {refuses{tcp}, true, false},
	} {
		kept := keepalive.KeepError(c.conn, nil)
		_, ok := kept.(syscall.Conn)
		assert.Equal(t, c.syscallConn, ok, name)
		_, ok = kept.(interface{ CloseWrite() error })
		assert.Equal(t, c.closeWrite, ok, name)
		assert.Equal(t, c.conn, kept.(interface{ NetConn() net.Conn }).NetConn(), name)
	}
	assert.Nil(t, keepalive.KeepError(nil, nil))
	assert.NotPanics(t, func() { keepalive.KeepError((*tls.Conn)(nil), nil) })
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err == nil {
		t.Cleanup(func() { udp.Close() })
		assert.Equal(t, udp, keepalive.KeepError(udp, nil), "an error does not end it")
		assert.Equal(t, embedsConn{udp}, keepalive.KeepError(embedsConn{udp}, nil))
	}
}

// TestKeepErrorPassesOn: everything else works as without KeepError.
func TestKeepErrorPassesOn(t *testing.T) {
	t.Parallel()
	tcp, far := testpeer.New(t, "tcp")
	conn := keepalive.KeepError(tcp, nil)
	if err := keepalive.Enable(conn, keepalive.Options{Idle: 45 * time.Second}); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		o, err := keepalive.Get(tcp)
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
	assert.Equal(t, keepalive.EOF, keepalive.Diagnose(err))
	conn.Close()
	_, err = conn.Read(b)
	assert.ErrorIs(t, err, net.ErrClosed)

	pipe, _ := net.Pipe()
	assert.ErrorIs(t, keepalive.Enable(keepalive.KeepError(pipe, nil), keepalive.Options{}), keepalive.ErrNotTCP)
}
