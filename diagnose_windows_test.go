package keepalive_test

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/go-keepalive/keepalive"
	"github.com/stretchr/testify/assert"
)

func TestDiagnoseErrno(t *testing.T) {
	t.Parallel()
	for want, codes := range map[keepalive.Cause][]syscall.Errno{
		keepalive.Dead:        {10052, 10053, 10060, 64, 121, 1236, syscall.ETIMEDOUT},
		keepalive.Reset:       {10054, 10061, 1225, syscall.ECONNREFUSED},
		keepalive.Unreachable: {10050, 10051, 10064, 10065, 1231, 1232, syscall.EHOSTUNREACH},
		keepalive.Closed:      {995, 10058},
		keepalive.Unknown:     {0, 5, 10022, 10042},
	} {
		for _, code := range codes {
			err := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("wsarecv", code)}
			assert.Equal(t, want, keepalive.Diagnose(code), code)
			assert.Equal(t, want, keepalive.Diagnose(err), code)
			if want != keepalive.Unknown {
				assert.Equal(t, want, keepalive.Diagnose(fakeErr{timeout: true, wraps: []error{io.EOF, err}}), code)
			}
		}
	}
}
