//go:build !linux

package servers

import (
	"os"
	"runtime"
	"syscall"
)

type attributes = syscall.SysProcAttr

func inherit() *attributes { return nil }

func unprivileged(...string) (*attributes, error) { return nil, nil }

func interrupt(p *os.Process) error {
	if runtime.GOOS == "windows" { // has no such signal
		return p.Kill()
	}
	return p.Signal(os.Interrupt)
}
