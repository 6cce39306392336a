//go:build !unix && !windows

package keepalive

import "runtime"

// Plan 9, WASI preview 1 and JavaScript have no socket options, and package net's RawConn
// does nothing there.
var host = &platform{name: runtime.GOOS}

func setsockopt(uintptr, int, int, int32) error { return errNoOption }

// systemCalls is never called, because there are no options.
type systemCalls struct{ kernel }
