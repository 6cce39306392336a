//go:build !linux

package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
)

var errLinux = fmt.Errorf("%w: this needs Linux", errors.ErrUnsupported)

func newBareSyscalls(*net.TCPConn) (*bareSyscalls, error) { return nil, errLinux }

func processorTime() (time.Duration, error) { return 0, errLinux }

func busyCores(time.Duration) float64 { return 0 }

func availableMemory() (float64, error) { return 0, errLinux }

func descriptorLimit() int { return 1000 }

func unixPair() (near, far *net.UnixConn, err error) { return nil, nil, errLinux }

func kernel() string { return runtime.GOOS }

func cpuModel() string { return "unknown processor" }
