//go:build !linux

package compat

import "net"

// The tests are skipped on other systems than Linux.
type socket struct{ *net.TCPConn }

func otherEnd(net.Conn) (socket, bool) { return socket{}, false }
func (socket) isOpen() bool            { return false }
func (socket) isConnected() bool       { return false }
