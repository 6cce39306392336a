//go:build !linux

package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
)

var errLinux = fmt.Errorf("%w: it takes Linux", errors.ErrUnsupported)

func bareCalls(*net.TCPConn) (*bareSyscalls, error) { return nil, errLinux }

func processorTime() (time.Duration, error) { return 0, errLinux }

func memory() (available, resident int64, err error) { return 0, 0, errLinux }

func kernel() string { return runtime.GOOS }

func cpuModel() string { return "" }

func capture() ([]exchange, error) { return nil, absent(errLinux) }

func captured([]string) (any, error) { return nil, errLinux }
