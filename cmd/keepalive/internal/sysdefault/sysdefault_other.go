//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package sysdefault

// Read reports that there is no such parameter.
func Read(string) (value int64, ok bool, err error) { return 0, false, nil }
