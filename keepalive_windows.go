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
