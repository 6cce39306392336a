package keepalive

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// errnoCause returns the cause of a kernel error: of Windows Sockets, of overlapped
// I/O, or one that package syscall has invented.
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

func isBrokenPipe(error) bool { return false } // no such error
