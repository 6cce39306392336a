//go:build !unix && !windows

package heartbeat

func aborted(error) bool { return false }
func isErrno(error) bool { return false }
