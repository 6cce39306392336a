//go:build !linux

package main

import (
	"io"
	"net"
	"time"
)

// line is not reached: no peer goes deaf here.
func line(io.Writer, *net.TCPConn, time.Time) {}
