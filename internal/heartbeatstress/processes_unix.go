//go:build unix

package heartbeatstress

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// childEnv makes a test binary play side 1 of a case. It has the seed and an address.
const childEnv = "HEARTBEAT_STRESS_CHILD"

// Child plays side 1 of a case and exits, if this process was started for that.
func Child() {
	args, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	var seed uint64
	var address string
	_, err := fmt.Sscan(args, &seed, &address)
	if err == nil {
		var conn net.Conn
		if conn, err = net.Dial("tcp", address); err == nil {
			err = NewCase(seed, minTimeout).Wrap(conn, 1)
			// Close returns before everything is delivered.
			for start := time.Now(); !errors.Is(conn.(*net.TCPConn).SetNoDelay(true), net.ErrClosed) && time.Since(start) < limit; {
				time.Sleep(time.Millisecond)
			}
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// RunProcesses runs cases between this process and another one, which is stopped for
// short times, or for good if the mode is Silence.
func RunProcesses(t *testing.T) {
	n, first := *cases, *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	if n == 0 {
		n = 12
	}
	var noExec atomic.Bool
	var wg sync.WaitGroup
	slots := make(chan struct{}, *parallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c := NewCase(first+uint64(i), minTimeout)
			err := runProcess(c)
			switch {
			case errors.Is(err, syscall.ENOEXEC): // qemu-user
				noExec.Store(true)
			case err != nil:
				t.Errorf("%v\n%+v\n-stress-cases 1 -stress-seed %d repeats it", err, c, c.Seed)
			}
		})
	}
	wg.Wait()
	if noExec.Load() {
		t.Skip("not supported here: this program cannot start itself")
	}
}

func runProcess(c Case) error {
	l, err := listen("tcp", "127.0.0.1:0", c.SmallBuffers)
	if err != nil {
		return err
	}
	defer l.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childEnv, c.Seed, l.Addr()))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	defer func() { cmd.Process.Kill() }()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	go func() { exited <- cmd.Wait() }()
	stopped := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(stopped)
		c.stop(cmd.Process, done)
	}()
	played := make(chan error, 1)
	go func() { played <- c.Wrap(conn, 0) }()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case err = <-played:
	case <-timeout.C:
		err = errors.New("side 0 hangs")
	}
	close(done)
	<-stopped
	if err != nil || c.Mode == Silence {
		cmd.Process.Kill()
		<-exited
		return err
	}
	select {
	case childErr := <-exited:
		if childErr != nil {
			return fmt.Errorf("side 1: %w: %s", childErr, strings.TrimSpace(out.String()))
		}
		return nil
	case <-timeout.C:
		return errors.New("side 1 hangs")
	}
}

// stop stops the process, again and again, until done is closed. Each time is shorter
// than Timeout, except that in Silence it is for ever.
func (c Case) stop(p *os.Process, done <-chan struct{}) {
	r := rand.New(rand.NewPCG(c.Seed, 10))
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(r.IntN(int(500 * time.Millisecond)))):
		}
		p.Signal(syscall.SIGSTOP)
		if c.Mode == Silence {
			<-done
			return
		}
		time.Sleep(time.Duration(r.IntN(int(c.Timeout / 4))))
		p.Signal(syscall.SIGCONT)
	}
}
