package keepalive

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// tcpInfo reads TCP_INFO_v0 of mstcpip.h, which x/sys does not have.
func tcpInfo(fd uintptr) (Info, bool, error) {
	const sioTCPInfo = 0xD8000027
	var t struct {
		state, mss                                     uint32
		connectionTimeMs                               uint64
		timestampsEnabled                              uint8
		rttUs, minRttUs, bytesInFlight                 uint32
		cwnd, sndWnd, rcvWnd, rcvBuf                   uint32
		bytesOut, bytesIn                              uint64
		bytesReordered, bytesRetrans                   uint32
		fastRetrans, dupAcksIn, timeoutEpisodes, synRe uint32
	}
	var version, n uint32
	err := windows.WSAIoctl(windows.Handle(fd), sioTCPInfo, (*byte)(unsafe.Pointer(&version)), uint32(unsafe.Sizeof(version)),
		(*byte)(unsafe.Pointer(&t)), uint32(unsafe.Sizeof(t)), &n, nil, 0)
	if err != nil {
		return noInfo, false, err
	}
	i := noInfo
	i.Unacked = int(t.bytesInFlight)
	i.RTT = time.Duration(t.rttUs) * time.Microsecond
	return i, t.state != 0, nil // TCPSTATE_CLOSED
}
