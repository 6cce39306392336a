//go:build !linux

package compat

import (
	"os"
	"syscall"
	"testing"
)

// The tests are skipped on other systems than Linux.
func unprivileged(testing.TB, string) *syscall.SysProcAttr { return nil }
func killGroup(p *os.Process)                              { p.Kill() }
