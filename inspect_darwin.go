package keepalive

import (
	"time"

	"golang.org/x/sys/unix"
)

// tcpConnectionInfo reads struct tcp_connection_info. Times are milliseconds (xnu
// bsd/netinet/tcp.h).
func tcpConnectionInfo(fd uintptr) (Info, bool, error) {
	t, err := unix.GetsockoptTCPConnectionInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CONNECTION_INFO)
	if err != nil {
		return noInfo, false, err
	}
	i := noInfo
	i.Unacked = int(t.Snd_sbbytes)
	i.Resent = int(t.Txretransmitpackets)
	i.RTT = time.Duration(t.Srtt) * time.Millisecond
	return i, t.State != 0, nil // TCPS_CLOSED
}
