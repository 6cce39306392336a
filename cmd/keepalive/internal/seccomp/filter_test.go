//go:build linux

package seccomp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// The filter decides the same for all processors, most of which this test does not run on.
func TestFilter(t *testing.T) {
	const (
		allow  = unix.SECCOMP_RET_ALLOW
		notify = unix.SECCOMP_RET_USER_NOTIF
		ignore = unix.SECCOMP_RET_ERRNO
	)
	const otherCall = 1
	filter := newFilter(tcpOptions(keepalive.Options{Idle: 1, Count: 1}))
	for _, a := range abis {
		for _, test := range []struct {
			action uint32
			nr     uint32
			args   [3]uint64
		}{
			{notify, a.socket, [3]uint64{unix.AF_INET, unix.SOCK_STREAM, 0}},
			{notify, a.socket, [3]uint64{unix.AF_INET6, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, unix.IPPROTO_TCP}},
			{notify, a.socket, [3]uint64{unix.AF_INET | 1<<32, unix.SOCK_STREAM | 1<<32, unix.IPPROTO_MPTCP | 1<<32}},
			{allow, a.socket, [3]uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}},
			{allow, a.socket, [3]uint64{unix.AF_INET, unix.SOCK_DGRAM, 0}},
			{allow, a.socket, [3]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}},
			{notify, a.setsockopt, [3]uint64{3, unix.SOL_SOCKET, unix.SO_KEEPALIVE}},
			{allow, a.setsockopt, [3]uint64{3, unix.SOL_SOCKET, unix.SO_LINGER}},
			{ignore, a.setsockopt, [3]uint64{3, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}},
			{ignore, a.setsockopt, [3]uint64{3, unix.IPPROTO_TCP, unix.TCP_KEEPCNT}},
			{allow, a.setsockopt, [3]uint64{3, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}},
			{allow, a.setsockopt, [3]uint64{3, unix.IPPROTO_TCP, unix.TCP_NODELAY}},
			{allow, a.setsockopt, [3]uint64{3, unix.IPPROTO_UDP, unix.TCP_KEEPIDLE}},
			{allow, otherCall, [3]uint64{unix.AF_INET, unix.SOCK_STREAM, 0}},
		} {
			assert.Equal(t, test.action, runFilter(t, filter, a.audit, test.nr, test.args), "%s: %d%v", a.goarch, test.nr, test.args)
		}
		if a.socketcall != 0 {
			assert.EqualValues(t, notify, runFilter(t, filter, a.audit, a.socketcall, [3]uint64{uint64(socket)}))
			assert.EqualValues(t, notify, runFilter(t, filter, a.audit, a.socketcall, [3]uint64{uint64(setsockopt)}))
			assert.EqualValues(t, allow, runFilter(t, filter, a.audit, a.socketcall, [3]uint64{3}))
		}
	}
	assert.EqualValues(t, allow, runFilter(t, filter, unix.AUDIT_ARCH_S390X, abis[0].socket, [3]uint64{unix.AF_INET, unix.SOCK_STREAM, 0}))
	assert.EqualValues(t, allow, runFilter(t, filter, unix.AUDIT_ARCH_X86_64, 0, [3]uint64{}))
}

// runFilter executes a filter for a system call.
func runFilter(t *testing.T, filter []unix.SockFilter, arch, nr uint32, args [3]uint64) uint32 {
	data := map[uint32]uint32{offsetNr: nr, offsetArch: arch}
	for i, v := range args {
		data[arg(uint32(i))] = uint32(v)
	}
	var a uint32
	for pc := 0; pc < len(filter); pc++ {
		switch f := filter[pc]; f.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			v, ok := data[f.K]
			require.True(t, ok, "offset %d", f.K)
			a = v
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= f.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(f.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == f.K {
				pc += int(f.Jt)
			} else {
				pc += int(f.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return f.K
		default:
			require.Fail(t, "unknown instruction", "%v", f)
		}
	}
	require.Fail(t, "the filter does not return")
	return 0
}
