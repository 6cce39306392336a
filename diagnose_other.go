//go:build !unix && !windows

package keepalive

func errnoCause(error, bool) Cause { return Unknown }

func isBrokenPipe(error) bool { return false }
