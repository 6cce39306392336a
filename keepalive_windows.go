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
var host = &platform{
	name: runtime.GOOS,
	opts: [numOpts]*sockOpt{
		keepAlive:   {name: "SO_KEEPALIVE", level: windows.SOL_SOCKET, opt: windows.SO_KEEPALIVE},
		idle:        {name: "TCP_KEEPIDLE", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPIDLE, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		interval:    {name: "TCP_KEEPINTVL", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPINTVL, unit: time.Second, min: 1, max: math.MaxUint32 / 1000},
		count:       {name: "TCP_KEEPCNT", level: windows.IPPROTO_TCP, opt: windows.TCP_KEEPCNT, unit: noUnit, min: 1, max: 255},
		userTimeout: {name: "TCP_MAXRT", level: windows.IPPROTO_TCP, opt: windows.TCP_MAXRT, unit: time.Second, min: 1, max: math.MaxInt32, unlimited: -1},
	},
	info:         &infoCall{"SIO_TCP_INFO", "wsaioctl", tcpInfo},
	variants:     &variants{detect: useKeepaliveVals},
	defaults:     Options{Idle: 2 * time.Hour, Interval: time.Second, Count: 10},
	readDefaults: readRegistry,
}

// readRegistry reads the defaults of Windows before version 1709, in milliseconds.
// Entries are missing unless somebody has set them. Microsoft documents them under
// "SIO_KEEPALIVE_VALS control code".
func readRegistry(p *platform) (Options, error) {
	o := p.defaults
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

// soType is SO_TYPE of winsock2.h, which x/sys does not have.
const soType = 0x1008

// systemCalls is the kernel of Windows.
type systemCalls struct{}

func (systemCalls) setsockopt(fd uintptr, level, opt int, v int32) error {
	return setsockopt(fd, level, opt, v)
}

func setsockopt(fd uintptr, level, opt int, v int32) error {
	return windows.SetsockoptInt(windows.Handle(fd), level, opt, int(v))
}

func (systemCalls) getsockopt(fd uintptr, level, opt int) (int32, error) {
	v, err := windows.GetsockoptInt(windows.Handle(fd), level, opt)
	return int32(v), err
}

func (systemCalls) setKeepaliveVals(fd uintptr, on bool, idle, interval uint32) error {
	vals := windows.TCPKeepalive{Time: idle, Interval: interval}
	if on {
		vals.OnOff = 1
	}
	var n uint32
	return windows.WSAIoctl(windows.Handle(fd), windows.SIO_KEEPALIVE_VALS, (*byte)(unsafe.Pointer(&vals)), uint32(unsafe.Sizeof(vals)), nil, 0, &n, nil, 0)
}

func (s systemCalls) isStream(fd uintptr) (bool, error) {
	typ, err := s.getsockopt(fd, windows.SOL_SOCKET, soType)
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

// getpeername returns the ENOTCONN of the other systems.
func (systemCalls) getpeername(fd uintptr) error {
	_, err := windows.Getpeername(windows.Handle(fd))
	if err == windows.WSAENOTCONN {
		return syscall.ENOTCONN
	}
	return err
}

func (systemCalls) isUnsupported(err error) bool {
	return err == windows.WSAENOPROTOOPT || err == windows.WSAEOPNOTSUPP
}
