package keepalive

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDiagnoseErrno(t *testing.T) {
	t.Parallel()
	for want, codes := range map[Cause][]syscall.Errno{
		Dead:        {10052, 10053, 10060, 64, 121, 1236, syscall.ETIMEDOUT},
		Reset:       {10054, 10061, 1225, syscall.ECONNREFUSED},
		Unreachable: {10050, 10051, 10064, 10065, 1231, 1232, syscall.EHOSTUNREACH},
		Closed:      {995, 10058},
		Unknown:     {0, 5, 10022, 10042},
	} {
		for _, code := range codes {
			err := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("wsarecv", code)}
			assert.Equal(t, want, Diagnose(code), code)
			assert.Equal(t, want, Diagnose(err), code)
			if want != Unknown {
				assert.Equal(t, want, Diagnose(fakeErr{timeout: true, wraps: []error{io.EOF, err}}), code)
			}
		}
	}
}
