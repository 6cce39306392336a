package keepalive

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OpenBSD has the switch and nothing else: sys/netinet/tcp_usrreq.c,
// tcp_ctloutput. The times are the sysctls net.inet.tcp.keepidle and
// net.inet.tcp.keepintvl, for all connections.
var table = platform{
	name:   runtime.GOOS,
	on:     &row{name: "SO_KEEPALIVE", level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE},
	kernel: sockets{},
}
