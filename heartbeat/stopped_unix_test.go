//go:build unix

package heartbeat_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startChild starts another process that dials l.
func startChild(t *testing.T, what string, l net.Listener) (*os.Process, <-chan string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+l.Addr().String())
	words := make(chan string, 1)
	var out lines
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) { // qemu-user
		t.Skipf("not supported here: this program cannot start itself: %v", err)
	}
	require.NoError(t, err)
	go func() {
		err := cmd.Wait()
		words <- fmt.Sprint(out.String(), err)
	}()
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd.Process, words
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestStoppedPeer: a process hangs, and its kernel goes on to answer. Keepalive sees
// nothing, and heartbeats do.
func TestStoppedPeer(t *testing.T) {
	t.Parallel()
	l := listen(t)
	other, _ := startChild(t, "echo", l)
	conn := accept(t, l)
	c, err := heartbeat.NewConn(conn, quick)
	require.NoError(t, err)
	defer c.Close()
	other2, _ := startChild(t, "echo", l)
	bare := accept(t, l)
	o := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}
	if err := keepalive.Enable(bare, o); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
	}
	_, err = io.ReadFull(bare, make([]byte, heartbeat.PrefaceLen))
	require.NoError(t, err)
	require.NoError(t, other2.Signal(syscall.SIGSTOP))
	stopped := time.Now()

	c.SetReadDeadline(time.Now().Add(2 * quick.Timeout))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it lives")
	c.SetReadDeadline(time.Time{})
	require.NoError(t, other.Signal(syscall.SIGSTOP))
	began := time.Now()
	_, err = c.Read(make([]byte, 1))
	dead := requireDeadError(t, err)
	inTime(t, quick, began, dead.Silence)
	assert.Positive(t, dead.Unanswered)

	b := make([]byte, 1000)
	bare.SetReadDeadline(stopped.Add(5 * time.Second)) // more than twice what keepalive takes
	for err = nil; err == nil; {
		_, err = bare.Read(b) // what it said before
	}
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// TestStoppedSelf: a process that was stopped itself, longer than Timeout, reports
// no live peer as dead.
func TestStoppedSelf(t *testing.T) {
	t.Parallel()
	l := listen(t)
	p, words := startChild(t, "watch", l)
	var c *heartbeat.Conn
	for i := range 3 {
		conn := accept(t, l)
		if i > 0 {
			go io.Copy(conn, conn)
			continue
		}
		var err error
		c, err = heartbeat.NewConn(conn, heartbeat.ConnConfig{Config: heartbeat.Config{Interval: quick.Interval, Timeout: time.Minute}})
		require.NoError(t, err)
		defer c.Close()
	}
	time.Sleep(quick.Timeout / 2)
	require.NoError(t, p.Signal(syscall.SIGSTOP))
	time.Sleep(quick.Timeout * 3 / 2)
	require.NoError(t, p.Signal(syscall.SIGCONT))
	select {
	case w := <-words:
		t.Fatal(w)
	case <-time.After(quick.Timeout * 3 / 2):
	}
	require.NoError(t, c.CloseWrite())
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, "<nil>", <-words)
}

// TestKilledPeer: the kernel closes the connections of a process that is killed. That is
// not the end of the data.
func TestKilledPeer(t *testing.T) {
	t.Parallel()
	l := listen(t)
	other, _ := startChild(t, "echo", l)
	c, err := heartbeat.NewConn(accept(t, l), quick)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("abc"))
	require.NoError(t, err)
	b := make([]byte, 3)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.NoError(t, other.Kill())
	_, err = c.Read(b)
	assert.Contains(t, []keepalive.Cause{keepalive.EOF, keepalive.Reset}, keepalive.Diagnose(err)) // Reset if a ping was not read
	assert.NotEqual(t, io.EOF, err)
}
