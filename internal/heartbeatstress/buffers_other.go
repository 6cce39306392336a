//go:build !unix

package heartbeatstress

import "syscall"

func setBuffers(_, _ string, _ syscall.RawConn) error { return nil }
