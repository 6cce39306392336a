//go:build !unix && !windows

package keepalive

import "runtime"

// Plan 9, WASI preview 1 and JavaScript have no socket options, and package
// net's RawConn does nothing there.
var table = platform{name: runtime.GOOS}

func errnoCause(error, bool) Cause { return Unknown }

func brokenPipe(error) bool { return false }
