package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// tcpKeepIdle is TCP_KEEPIDLE of ws2ipdef.h, known to Windows 10 1709 and later, and to Wine 10 but not to Wine 8.
const tcpKeepIdle = 3

// details tells the version that Windows (or Wine) claims and what it answers when asked for TCP_KEEPIDLE.
func details() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf(" version=%d.%d.%d keepidle=%s", v.MajorVersion, v.MinorVersion, v.BuildNumber, keepIdle())
}

func keepIdle() string {
	var data windows.WSAData
	if err := windows.WSAStartup(0x0202, &data); err != nil {
		return "WSAStartup: " + err.Error()
	}
	defer windows.WSACleanup()
	s, err := windows.Socket(windows.AF_INET, windows.SOCK_STREAM, windows.IPPROTO_TCP)
	if err != nil {
		return "socket: " + err.Error()
	}
	defer windows.Closesocket(s)
	seconds, err := windows.GetsockoptInt(s, windows.IPPROTO_TCP, tcpKeepIdle)
	switch {
	case errors.Is(err, windows.WSAENOPROTOOPT):
		return "WSAENOPROTOOPT"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprint(seconds)
}
