//go:build !unix && !windows

package keepalive_test

var errBrokenPipe error

// There is no connection here whose death these would tell.

func dead(error) bool         { return false }
func reset(error) bool        { return false }
func notConnected(error) bool { return false }
func untranslated(error) bool { return hostErrnos }
