//go:build unix

package heartbeat_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/heartbeat"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childProcess is another process, which plays the peer.
type childProcess struct {
	*os.Process
	words   <-chan string // what it wrote, and how it ended
	stopped time.Time
	pause   time.Duration // how long it was stopped
}

// startChild starts another process that dials l. If the test fails, the delays of that process
// count like those of this one.
func startChild(t testing.TB, what string, l net.Listener) *childProcess {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+l.Addr().String())
	words := make(chan string, 1)
	var delays, out lines
	cmd.Stdout, cmd.Stderr = &delays, &out
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	err = cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) { // qemu-user
		t.Skipf("not supported here: this program cannot start itself: %v", err)
	}
	require.NoError(t, err)
	exited := make(chan struct{})
	go func() {
		err := cmd.Wait()
		words <- fmt.Sprint(out.String(), err)
		close(exited)
	}()
	c := &childProcess{Process: cmd.Process, words: words}
	t.Cleanup(func() {
		defer cmd.Process.Kill()
		if !t.Failed() {
			return
		}
		if !c.stopped.IsZero() {
			c.resume(t)
		}
		stdin.Close() // which ends it
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			t.Log("the other process does not end")
		}
		realtime.Late(t, c.late(t, delays.String()))
	})
	return c
}

// stop stops the process, until resume.
func (c *childProcess) stop(t testing.TB) {
	t.Helper()
	c.stopped = time.Now()
	require.NoError(t, c.Signal(syscall.SIGSTOP))
}

func (c *childProcess) resume(t testing.TB) {
	t.Helper()
	assert.NoError(t, c.Signal(syscall.SIGCONT))
	c.pause, c.stopped = time.Since(c.stopped), time.Time{}
}

// late returns the longest delay of the control timer. The longest of all is the one in which the
// process was stopped, if it was, and the time for which it was stopped does not count.
func (c *childProcess) late(t testing.TB, delays string) time.Duration {
	var all []time.Duration
	for _, s := range strings.Fields(delays) {
		d, err := time.ParseDuration(s)
		assert.NoError(t, err)
		all = append(all, d)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	all[len(all)-1] -= c.pause
	return slices.Max(all)
}

func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestStoppedPeer: a process hangs, and its kernel goes on to answer. Keepalive sees
// nothing, and heartbeats do.
func TestStoppedPeer(t *testing.T) { realtime.Test(testStoppedPeer)(t) }

func testStoppedPeer(t testing.TB) {
	l := listen(t)
	other := startChild(t, "echo", l)
	conn := accept(t, l)
	c, err := heartbeat.NewConn(conn, quick)
	require.NoError(t, err)
	defer c.Close()
	other2 := startChild(t, "echo", l)
	bare := accept(t, l)
	o := keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 1}
	if err := keepalive.Enable(bare, o); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
	}
	_, err = io.ReadFull(bare, make([]byte, heartbeat.PrefaceLen))
	require.NoError(t, err)
	other2.stop(t)
	stopped := time.Now()

	c.SetReadDeadline(time.Now().Add(2 * quick.Timeout))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it lives")
	c.SetReadDeadline(time.Time{})
	other.stop(t)
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
func TestStoppedSelf(t *testing.T) { realtime.Test(testStoppedSelf)(t) }

func testStoppedSelf(t testing.TB) {
	l := listen(t)
	p := startChild(t, "watch", l)
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
	p.stop(t)
	time.Sleep(quick.Timeout * 3 / 2)
	p.resume(t)
	select {
	case w := <-p.words:
		t.Fatal(w)
	case <-time.After(quick.Timeout * 3 / 2):
	}
	require.NoError(t, c.CloseWrite())
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, "<nil>", <-p.words)
}

// TestKilledPeer: the kernel closes the connections of a process that is killed. That is
// not the end of the data.
func TestKilledPeer(t *testing.T) { realtime.Test(testKilledPeer)(t) }

func testKilledPeer(t testing.TB) {
	l := listen(t)
	other := startChild(t, "echo", l)
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
