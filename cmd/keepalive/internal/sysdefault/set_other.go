//go:build !linux

package sysdefault

import (
	"fmt"
	"runtime"
)

// BootSettings returns nothing, because it knows only the files of Linux.
func BootSettings(...string) ([]BootSetting, error) { return nil, nil }

// Namespace returns "", because this system has no network namespaces.
func Namespace() string { return "" }

// Check returns the error of Apply.
func Check(changes []Change) error { return Apply(changes, nil) }

// Apply returns an error that names the command to use.
func Apply(changes []Change, _ func() error) error {
	if command := Command(runtime.GOOS, changes); command != "" {
		hint := "use (as administrator)"
		if runtime.GOOS == "windows" {
			hint = "use (as administrator, and then restart Windows)"
		}
		return fmt.Errorf("cannot set defaults on %s: %s: %s", runtime.GOOS, hint, command)
	}
	return fmt.Errorf("cannot set defaults on %s", runtime.GOOS)
}

// Persist is never called, because Apply fails.
func Persist(string, []Change) error { return nil }
