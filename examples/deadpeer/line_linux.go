package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// line prints what the kernel knows of the connection now.
func line(w io.Writer, conn *net.TCPConn, start time.Time) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return
	}
	var info *unix.TCPInfo
	err = rc.Control(func(fd uintptr) { info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil || info == nil {
		return
	}
	// Keepalive goes by the last data or acknowledgment, whichever is younger.
	heard := time.Duration(min(info.Last_data_recv, info.Last_ack_recv)) * time.Millisecond
	fmt.Fprintf(w, "%8s  %11.2fs ago  %17d  %11d\n", since(start), heard.Seconds(), info.Probes, info.Retransmits)
}
