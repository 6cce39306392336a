//go:build !unix

package heartbeat

import "net"

// socketReader is for unix.
type socketReader struct{}

func (*socketReader) init(net.Conn, *reader) {}
func (*socketReader) ok() bool               { return false }
func (*socketReader) fill() error            { return nil }
func (*socketReader) yield()                 {}
