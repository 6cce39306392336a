//go:build !unix && !windows

package heartbeat

func aborted(error) bool { return false }
