// Package testpeer is the other end of a TCP connection, for tests and examples. It can stop
// receiving, receive again, vanish, or reset the connection, and it reads the socket
// options of the near end from outside.
//
// The other end is in the same process. If the environment variable KEEPALIVE_PEER has the
// address of a peer daemon (see Serve), it is there. So a process on Linux can be the
// peer of a Windows program under Wine.
package testpeer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Env is the environment variable with the address of a peer daemon.
const Env = "KEEPALIVE_PEER"

// patience bounds every wait for something that takes no time.
const patience = 20 * time.Second

// A Far is the far end of one connection.
type Far struct {
	do    func(cmd string) (string, error)
	close func()
}

// Sockopts are the socket options of the near end, in the units of the kernel.
type Sockopts struct {
	KeepAlive, Idle, Interval, Count int // times in seconds
	UserTimeout                      int // milliseconds
}

// Deaf drops every segment that is addressed to the far end, before TCP receives it, as if a cable
// was unplugged. It needs no privilege.
func (f *Far) Deaf() error { return f.tell("deaf") }

// Hear ends the effect of Deaf.
func (f *Far) Hear() error { return f.tell("hear") }

// Vanish closes the far end without sending anything, as in a crash. The answer to later segments
// is RST. It needs root.
func (f *Far) Vanish() error { return f.tell("vanish") }

// Reset closes the far end with an RST.
func (f *Far) Reset() error { return f.tell("reset") }

// Echo reads one byte at the far end and sends it back.
func (f *Far) Echo() error { return f.tell("echo") }

// Seen returns the options of the near end. It reads them through a duplicate of its descriptor.
func (f *Far) Seen() (Sockopts, error) {
	var s Sockopts
	answer, err := f.do("seen")
	if err == nil {
		err = json.Unmarshal([]byte(answer), &s)
	}
	return s, err
}

// Close closes the far end.
func (f *Far) Close() { f.close() }

func (f *Far) tell(cmd string) error {
	_, err := f.do(cmd)
	return err
}

// Filter drops every segment that is addressed to the socket of c, before TCP receives it. If drop
// is false, segments are accepted again. c is a connection, which then is a dead peer, or a
// listener, which then does not answer. Filter needs no privilege.
func Filter(c syscall.Conn, drop bool) error { return filter(c, drop) }

// Dial returns both ends of a new connection, over tcp, tcp4 or tcp6. No keepalive option
// of the near end was set. If there is no such network, or no IPv6, the error matches
// errors.ErrUnsupported.
func Dial(network string) (*net.TCPConn, *Far, error) {
	return DialWith(net.Dialer{KeepAlive: -1, Timeout: patience}, network)
}

// DialWith is Dial with a dialer for the near end.
func DialWith(dialer net.Dialer, network string) (*net.TCPConn, *Far, error) {
	if addr := os.Getenv(Env); addr != "" {
		return dialRemote(dialer, addr, network)
	}
	l, err := listen(network, loopback(network))
	if err != nil {
		return nil, nil, err
	}
	e := &end{listener: l}
	conn, err := dialer.Dial(network, l.Addr().String())
	if err == nil {
		err = e.accept()
	}
	if err != nil {
		e.close()
		return nil, nil, err
	}
	return conn.(*net.TCPConn), &Far{do: e.do, close: e.close}, nil
}

// New is Dial for a test. If Dial fails, New fails or skips the test. Both ends are closed after
// the test.
func New(t testing.TB, network string) (*net.TCPConn, *Far) {
	t.Helper()
	conn, far, err := Dial(network)
	SkipIfUnsupported(t, err)
	t.Cleanup(func() { conn.Close(); far.Close() })
	return conn, far
}

// SkipIfUnsupported skips the test, with the reason, if something is not supported on
// this system, or not allowed for this user. Any other error fails the test.
func SkipIfUnsupported(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, os.ErrPermission):
		t.Skipf("not supported here: %v", err)
	default:
		t.Fatal(err)
	}
}

func loopback(network string) string {
	if network == "tcp6" {
		return "::1"
	}
	return "127.0.0.1"
}

func listen(network, host string) (net.Listener, error) {
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil && network == "tcp6" {
		err = fmt.Errorf("%w: no IPv6 at %s: %w", errors.ErrUnsupported, host, err)
	}
	return l, err
}

// end is a far end in this process.
type end struct {
	listener net.Listener
	conn     *net.TCPConn
}

func (e *end) accept() error {
	e.listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := e.listener.Accept()
	if err == nil {
		e.conn = conn.(*net.TCPConn)
		err = e.conn.SetKeepAlive(false) // package net turns it on, and the far end must not send probes
	}
	return err
}

func (e *end) close() {
	e.listener.Close()
	if e.conn != nil {
		e.conn.Close()
	}
}

func (e *end) do(cmd string) (string, error) {
	switch cmd {
	case "reset":
		e.conn.SetLinger(0)
		return "", e.conn.Close()
	case "echo":
		e.conn.SetDeadline(time.Now().Add(patience))
		defer e.conn.SetDeadline(time.Time{})
		b := make([]byte, 1)
		if _, err := e.conn.Read(b); err != nil {
			return "", err
		}
		_, err := e.conn.Write(b)
		return "", err
	case "seen":
		s, err := sockoptsOf(e.conn.RemoteAddr(), e.conn.LocalAddr())
		if err != nil {
			return "", err
		}
		b, err := json.Marshal(s)
		return string(b), err
	}
	return "", control(e.conn, cmd)
}

// The protocol between Dial and Serve. Dial sends the network in a line, and Serve answers with the
// address to dial. After that, Dial sends commands. Each command and each answer is a line. An
// answer begins with one of these words.
const (
	answerOK          = "ok"
	answerUnsupported = "unsupported"
	answerPermission  = "permission"
	answerError       = "error"
)

// Serve is the peer daemon. For every connection that l accepts, it provides a far end. It returns
// when l is closed.
func Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			answer := func(text string, err error) {
				word := answerOK
				switch {
				case errors.Is(err, errors.ErrUnsupported):
					word, text = answerUnsupported, err.Error()
				case errors.Is(err, os.ErrPermission):
					word, text = answerPermission, err.Error()
				case err != nil:
					word, text = answerError, err.Error()
				}
				fmt.Fprintln(conn, word, strings.ReplaceAll(text, "\n", " "))
			}
			if !lines.Scan() {
				return
			}
			host := loopback(lines.Text())
			if local := conn.LocalAddr().(*net.TCPAddr).IP; !local.IsLoopback() {
				host = local.String() // the address that the client reaches
			}
			data, err := listen(lines.Text(), host)
			if err != nil {
				answer("", err)
				return
			}
			e := &end{listener: data}
			defer e.close()
			answer(data.Addr().String(), nil)
			if e.accept() != nil {
				return
			}
			for lines.Scan() {
				answer(e.do(lines.Text()))
			}
		}()
	}
}

func dialRemote(dialer net.Dialer, addr, network string) (*net.TCPConn, *Far, error) {
	ctl, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewScanner(ctl)
	do := func(cmd string) (string, error) {
		ctl.SetDeadline(time.Now().Add(2 * patience))
		fmt.Fprintln(ctl, cmd)
		if !lines.Scan() {
			return "", fmt.Errorf("the peer daemon has closed the connection: %v", lines.Err())
		}
		word, text, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case answerOK:
			return text, nil
		case answerUnsupported:
			return "", fmt.Errorf("%w: peer daemon: %s", errors.ErrUnsupported, text)
		case answerPermission:
			return "", fmt.Errorf("%w: peer daemon: %s", os.ErrPermission, text)
		}
		return "", errors.New("peer daemon: " + text)
	}
	data, err := do(network)
	var conn net.Conn
	if err == nil {
		conn, err = dialer.Dial(network, data)
	}
	if err != nil {
		ctl.Close()
		return nil, nil, err
	}
	return conn.(*net.TCPConn), &Far{do: do, close: func() { ctl.Close() }}, nil
}
