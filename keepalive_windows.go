package keepalive

import (
	"math"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// The options are documented in "IPPROTO_TCP socket options" and the control
// code in "SIO_KEEPALIVE_VALS control code", both in Microsoft's Winsock
// reference. TCP_KEEPCNT came with Windows 10 version 1703, TCP_KEEPIDLE and
// TCP_KEEPINTVL with version 1709. No upper limit of the times is documented:
// the one here is what the control code can hold. TCP_MAXRTMS,
// which has milliseconds, is not documented and not used.
var table = platform{
	name: runtime.GOOS,
	on:   &row{name: "SO_KEEPALIVE", level: windows.SOL_SOCKET, opt: windows.SO_KEEPALIVE},
	rows: [numParams]*row{
		idle:        {name: "TCP_KEEPIDLE", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPCNT, unit: number, min: 1, max: 255},
		userTimeout: {name: "TCP_MAXRT", level: windows.IPPROTO_TCP, opt: windows.TCP_MAXRT, unit: time.Second, min: 1, max: math.MaxInt32, none: -1},
	},
	times:  &times{name: "SIO_KEEPALIVE_VALS", idle: 2 * time.Hour, interval: time.Second},
	kernel: sockets{},
	info:   &infoCall{"SIO_TCP_INFO", "wsaioctl", tcpInfo},

	elsewhere: registryTimes,
}

// registryTimes are the defaults before version 1709: milliseconds, absent
// unless somebody has set them; the count is fixed. Microsoft documents the keys
// under "SIO_KEEPALIVE_VALS control code".
func registryTimes(p *platform) (Options, error) {
	o := Options{Idle: p.times.idle, Interval: p.times.interval, Count: 10}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, registry.QUERY_VALUE)
	if err != nil {
		return o, nil
	}
	defer k.Close()
	for name, d := range map[string]*time.Duration{"KeepAliveTime": &o.Idle, "KeepAliveInterval": &o.Interval} {
		if ms, _, err := k.GetIntegerValue(name); err == nil {
			*d = time.Duration(ms) * time.Millisecond
		}
	}
	return o, nil
}

// tcpInfo asks for TCP_INFO_v0 (mstcpip.h), which x/sys lacks.
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
		return unknown, false, err
	}
	i := unknown
	i.Unacked = int(t.bytesInFlight)
	i.RTT = time.Duration(t.rttUs) * time.Microsecond
	return i, t.state != 0, nil // TCPSTATE_CLOSED
}

// soType is SO_TYPE of winsock2.h, which x/sys lacks.
const soType = 0x1008

type sockets struct{}

func (sockets) set(fd uintptr, level, opt int, v int32) error {
	return windows.SetsockoptInt(windows.Handle(fd), level, opt, int(v))
}

func (sockets) get(fd uintptr, level, opt int) (int32, error) {
	v, err := windows.GetsockoptInt(windows.Handle(fd), level, opt)
	return int32(v), err
}

func (sockets) setTimes(fd uintptr, on bool, idle, interval uint32) error {
	vals := windows.TCPKeepalive{Time: idle, Interval: interval}
	if on {
		vals.OnOff = 1
	}
	var n uint32
	return windows.WSAIoctl(windows.Handle(fd), windows.SIO_KEEPALIVE_VALS, (*byte)(unsafe.Pointer(&vals)), uint32(unsafe.Sizeof(vals)), nil, 0, &n, nil, 0)
}

func (s sockets) inetStream(fd uintptr) (bool, error) {
	typ, err := s.get(fd, windows.SOL_SOCKET, soType)
	if err != nil || typ != windows.SOCK_STREAM {
		return false, err
	}
	sa, err := windows.Getsockname(windows.Handle(fd))
	switch sa.(type) {
	case *windows.SockaddrInet4, *windows.SockaddrInet6:
		return true, nil
	}
	return false, err
}

// peer says it in the words of the other systems.
func (sockets) peer(fd uintptr) error {
	_, err := windows.Getpeername(windows.Handle(fd))
	if err == windows.WSAENOTCONN {
		return syscall.ENOTCONN
	}
	return err
}

func (sockets) missing(err error) bool {
	return err == windows.WSAENOPROTOOPT || err == windows.WSAEOPNOTSUPP
}

// errnoCause is the cause of an error of the kernel's: of Windows Sockets, of
// overlapped I/O, or of those that package syscall has made up.
func errnoCause(err error, _ bool) Cause {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch errno {
	case windows.WSAETIMEDOUT, windows.WSAENETRESET, windows.WSAECONNABORTED,
		windows.ERROR_NETNAME_DELETED, windows.ERROR_SEM_TIMEOUT, windows.ERROR_CONNECTION_ABORTED,
		syscall.ETIMEDOUT, syscall.ENETRESET:
		return Dead
	case windows.WSAECONNRESET, windows.WSAECONNREFUSED,
		windows.ERROR_CONNECTION_REFUSED, windows.ERROR_PORT_UNREACHABLE,
		syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE:
		return Reset
	case windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH, windows.WSAEHOSTDOWN, windows.WSAENETDOWN,
		windows.ERROR_HOST_UNREACHABLE, windows.ERROR_NETWORK_UNREACHABLE,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN:
		return Unreachable
	case windows.WSAESHUTDOWN, windows.ERROR_OPERATION_ABORTED:
		return Closed
	}
	return Unknown
}

func brokenPipe(error) bool { return false } // it has none
