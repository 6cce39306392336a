package keepalive_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Wrappers as libraries have them.
type (
	embedsConn    struct{ net.Conn }
	embedsTCP     struct{ *net.TCPConn }
	embedsPrivate struct{ *embedsConn }

	netConner struct {
		hidden
		c net.Conn
	}
	unwrapper struct {
		hidden
		c net.Conn
	}
	rawer struct {
		hidden
		c net.Conn
	}
	underlier struct {
		hidden
		c net.Conn
	}
	tcpNetConner struct {
		hidden
		c *net.TCPConn
	}
	wrapsItself struct{ hidden }

	// alias is an interface whose field has an unexported name.
	alias       = net.Conn
	embedsAlias struct{ alias }

	// byPointer has methods of its pointer, and is embedded by value.
	byPointer     struct{ c net.Conn }
	embedsByValue struct{ byPointer }
	refuses       struct{ net.Conn }
)

func (w netConner) NetConn() net.Conn                   { return w.c }
func (w unwrapper) Unwrap() net.Conn                    { return w.c }
func (w rawer) Raw() net.Conn                           { return w.c }
func (w underlier) UnderlyingConn() net.Conn            { return w.c }
func (w tcpNetConner) NetConn() *net.TCPConn            { return w.c }
func (w *wrapsItself) NetConn() net.Conn                { return w }
func (p *byPointer) Read(b []byte) (int, error)         { return p.c.Read(b) }
func (p *byPointer) Write(b []byte) (int, error)        { return p.c.Write(b) }
func (p *byPointer) Close() error                       { return p.c.Close() }
func (p *byPointer) LocalAddr() net.Addr                { return p.c.LocalAddr() }
func (p *byPointer) RemoteAddr() net.Addr               { return p.c.RemoteAddr() }
func (p *byPointer) SetDeadline(t time.Time) error      { return p.c.SetDeadline(t) }
func (p *byPointer) SetReadDeadline(t time.Time) error  { return p.c.SetReadDeadline(t) }
func (p *byPointer) SetWriteDeadline(t time.Time) error { return p.c.SetWriteDeadline(t) }
func (p *byPointer) NetConn() net.Conn                  { return p.c }

// shadowsNetConn hides the promoted NetConn, so that only the field leads further.
type shadowsNetConn struct{ byPointer }

func (*shadowsNetConn) NetConn() int { return 0 }

func (refuses) SyscallConn() (syscall.RawConn, error) {
	return nil, errors.New("not available")
}

// Connections that are broken in some way.
type (
	refusesOnly struct{ hidden }
	givesNil    struct{ hidden }
	idles       struct{ hidden }
	strays      struct{ hidden }

	idleRaw  struct{ syscall.RawConn }
	strayRaw struct{ syscall.RawConn }
)

func (refusesOnly) SyscallConn() (syscall.RawConn, error) { return nil, errors.New("not available") }
func (givesNil) SyscallConn() (syscall.RawConn, error)    { return nil, nil }
func (idles) SyscallConn() (syscall.RawConn, error)       { return idleRaw{}, nil }
func (strays) SyscallConn() (syscall.RawConn, error)      { return strayRaw{}, nil }
func (idleRaw) Control(func(uintptr)) error               { return nil }
func (strayRaw) Control(f func(uintptr)) error            { f(^uintptr(0)); return nil }

// hidden is a net.Conn with nothing to be found in it.
type hidden struct{}

func (hidden) Read([]byte) (int, error)         { return 0, io.EOF }
func (hidden) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (hidden) Close() error                     { return nil }
func (hidden) LocalAddr() net.Addr              { return nil }
func (hidden) RemoteAddr() net.Addr             { return nil }
func (hidden) SetDeadline(time.Time) error      { return nil }
func (hidden) SetReadDeadline(time.Time) error  { return nil }
func (hidden) SetWriteDeadline(time.Time) error { return nil }
