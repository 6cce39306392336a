//go:build linux

package sockets

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// TestMain runs this binary as one of the programs below if an environment variable names it.
func TestMain(m *testing.M) {
	switch os.Getenv("SOCKETS_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "hold":
		hold()
	case "serve":
		serve()
	case "churn":
		churn()
	case "list":
		list()
	}
	os.Exit(0)
}

// child is a running program.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs this test binary as the program name until the test ends.
func start(t testing.TB, attr *syscall.SysProcAttr, name string, args ...string) *child {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	if attr != nil && attr.Credential != nil {
		program = publicCopy(t, program)
	}
	c := &child{cmd: exec.Command(program, args...)}
	c.cmd.Env = append(os.Environ(), "SOCKETS_TEST_CHILD="+name)
	c.cmd.SysProcAttr = attr
	c.cmd.Stderr = os.Stderr
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() { c.end() })
	return c
}

// publicCopy copies a program to a folder that is open to all users.
func publicCopy(t testing.TB, program string) string {
	dir, err := os.MkdirTemp("", "sockets")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	b, err := os.ReadFile(program)
	require.NoError(t, err)
	path := filepath.Join(dir, filepath.Base(program))
	require.NoError(t, os.WriteFile(path, b, 0o755))
	return path
}

func (c *child) end() {
	c.in.Close()
	c.cmd.Wait()
}

// line returns the next line that the program prints.
func (c *child) line(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n")
}

func (c *child) say(text string) { fmt.Fprintln(c.in, text) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// socketReport is what a program reports about one of its own sockets.
type socketReport struct{ Local, Remote, Options string }

// hold opens connections to itself, sets different options on each, and prints what
// getsockopt returns, and then "ready".
func hold() {
	n := must(strconv.Atoi(os.Args[1]))
	ln := must(net.Listen("tcp4", "127.0.0.1:0"))
	var conns []net.Conn
	for range n / 2 {
		conns = append(conns, must(net.Dial("tcp4", ln.Addr().String())))
		conns = append(conns, must(ln.Accept()))
	}
	out := bufio.NewWriter(os.Stdout)
	e := json.NewEncoder(out)
	for i, conn := range conns {
		o := keepalive.Options{
			Idle: time.Duration(1000+i) * time.Second, Interval: time.Duration(1+i%1000) * time.Second, Count: 1 + i%127,
			UserTimeout: time.Duration(i%3*1000) * time.Second, Disabled: i%5 == 0,
		}
		if err := keepalive.Enable(conn, o); err != nil {
			panic(err)
		}
		must(0, e.Encode(socketReport{conn.LocalAddr().String(), conn.RemoteAddr().String(), must(keepalive.Get(conn)).String()}))
	}
	fmt.Fprintln(out, "ready")
	must(0, out.Flush())
	io.Copy(io.Discard, os.Stdin)
}

// serve listens and prints the address. For each line that it reads it connects to itself, and
// prints the options of the accepted connection.
func serve() {
	if len(os.Args) > 2 { // in a new network namespace
		upLoopback()
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(os.Args[1] == "mptcp")
	lc.KeepAlive = -1
	ln := must(lc.Listen(context.Background(), "tcp4", "127.0.0.1:0"))
	fmt.Println(ln.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		d := net.Dialer{KeepAlive: -1}
		client := must(d.Dial("tcp4", ln.Addr().String()))
		conn := must(ln.Accept())
		fmt.Println(must(keepalive.Get(conn)))
		defer client.Close()
	}
}

func upLoopback() {
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0))
	ifr := must(unix.NewIfreq("lo"))
	ifr.SetUint16(unix.IFF_UP)
	must(0, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr))
	unix.Close(fd)
}

// churn holds connections to a listener and prints its port. Until its input ends, it closes
// connections to that listener, and opens connections to a second one with the same descriptors. It
// also does the opposite. Then it prints the number of exchanges, and the number of connections to
// the second listener that did not keep the default options.
func churn() {
	var lc net.ListenConfig
	lc.KeepAlive = -1
	first, second := must(lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")), must(lc.Listen(context.Background(), "tcp4", "127.0.0.1:0"))
	dialer := net.Dialer{KeepAlive: -1}
	type pair struct{ client, server net.Conn }
	open := func(ln net.Listener) pair {
		client := must(dialer.Dial("tcp4", ln.Addr().String()))
		return pair{client, must(ln.Accept())}
	}
	var conns [200]pair
	for i := range conns {
		conns[i] = open(first)
	}
	fmt.Println(first.Addr().(*net.TCPAddr).Port)
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()
	wrong, exchanges := 0, 0
	untouched := must(keepalive.Get(must(dialer.Dial("tcp4", first.Addr().String()))))
	isSecond := [len(conns)]bool{}
	for i, rounds := 0, 0; ; i = (i + 1) % len(conns) {
		if i == 0 {
			// In these pauses, from 1ms to 1s, another process finds the descriptors. On a
			// busy machine, it needs the longer ones.
			time.Sleep(time.Millisecond << (rounds % 11))
			rounds++
		}
		select {
		case <-ended:
			fmt.Println(exchanges, wrong)
			return
		default:
		}
		both := []net.Conn{conns[i].client, conns[i].server}
		for _, c := range both {
			if isSecond[i] && must(keepalive.Get(c)) != untouched {
				wrong++
			}
		}
		for _, c := range both {
			c.(*net.TCPConn).SetLinger(0) // leaves no TIME-WAIT
			c.Close()
		}
		isSecond[i] = !isSecond[i]
		if isSecond[i] {
			conns[i] = open(second)
			exchanges++
		} else {
			conns[i] = open(first)
		}
	}
}

// list prints the sockets of the port that is the first argument. It sets the idle time to 55
// seconds on each of them, and prints the error, or <nil>.
func list() {
	port := must(strconv.ParseUint(os.Args[1], 10, 16))
	table := must(List(Filter{Ports: []uint16{uint16(port)}}))
	must(0, json.NewEncoder(os.Stdout).Encode(table))
	for _, c := range Set(table.Sockets, keepalive.Options{Idle: 55 * time.Second}) {
		fmt.Println(c.Err)
	}
}
