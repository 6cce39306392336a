//go:build linux

package seccomp

import (
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// Arguments of socket(2) for TCP. typeMask removes SOCK_NONBLOCK and SOCK_CLOEXEC from the type.
var (
	families  = []uint32{unix.AF_INET, unix.AF_INET6}
	types     = []uint32{unix.SOCK_STREAM}
	protocols = []uint32{0, unix.IPPROTO_TCP, unix.IPPROTO_MPTCP}
)

const typeMask = 0xf

// tcpOptions returns the options of level IPPROTO_TCP that o sets.
func tcpOptions(o keepalive.Options) []uint32 {
	var opts []uint32
	add := func(opt uint32, isSet bool) {
		if isSet {
			opts = append(opts, opt)
		}
	}
	add(unix.TCP_KEEPIDLE, o.Idle != 0)
	add(unix.TCP_KEEPINTVL, o.Interval != 0)
	add(unix.TCP_KEEPCNT, o.Count != 0)
	add(unix.TCP_USER_TIMEOUT, o.UserTimeout != 0)
	return opts
}

// newFilter returns the program that the kernel runs before every system call. It
//
//   - notifies the supervisor of socket(2) for TCP, of setsockopt(2) for SO_KEEPALIVE, and of
//     socketcall(2) for both functions, because it cannot read the arguments of that;
//   - makes setsockopt return error 0, without an effect, for ours, which are options of TCP;
//   - allows everything else.
func newFilter(ours []uint32) []unix.SockFilter {
	notify, allow := ret(unix.SECCOMP_RET_USER_NOTIF), ret(unix.SECCOMP_RET_ALLOW)

	onSocket := slices.Concat(
		load(arg(0)), unless(families, allow),
		load(arg(1)), and(typeMask), unless(types, allow),
		load(arg(2)), unless(protocols, allow),
		notify)
	onSetsockopt := slices.Concat(
		load(arg(1)),
		when([]uint32{unix.SOL_SOCKET}, load(arg(2)), when([]uint32{unix.SO_KEEPALIVE}, notify), allow),
		when([]uint32{unix.IPPROTO_TCP}, load(arg(2)), when(ours, ret(unix.SECCOMP_RET_ERRNO))),
		allow)
	onSocketcall := slices.Concat(
		load(arg(0)), when([]uint32{uint32(socket), uint32(setsockopt)}, notify),
		allow)

	var program []unix.SockFilter
	for _, a := range abis {
		calls := slices.Concat(when([]uint32{a.socket}, onSocket), when([]uint32{a.setsockopt}, onSetsockopt))
		if a.socketcall != 0 {
			calls = slices.Concat(calls, when([]uint32{a.socketcall}, onSocketcall))
		}
		program = slices.Concat(program, load(offsetArch), when([]uint32{a.audit}, load(offsetNr), calls))
	}
	return slices.Concat(program, allow)
}

// Offsets in struct seccomp_data.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// arg returns the offset of the lower half of an argument. The upper half of an int is
// undefined.
func arg(i uint32) uint32 { return offsetArgs + 8*i }

func load(offset uint32) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}}
}

func and(mask uint32) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask}}
}

func ret(action uint32) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: action}}
}

// when runs body if what was loaded is one of values.
func when(values []uint32, body ...[]unix.SockFilter) []unix.SockFilter {
	b := slices.Concat(body...)
	skip := []unix.SockFilter{{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(b))}}
	return append(unless(values, skip), b...)
}

// unless runs body if what was loaded is none of values.
func unless(values []uint32, body []unix.SockFilter) []unix.SockFilter {
	var program []unix.SockFilter
	for i, v := range values {
		behind := len(values) - 1 - i + len(body)
		if behind > math.MaxUint8 {
			panic("seccomp: the body of a condition is too long")
		}
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(behind), K: v})
	}
	return append(program, body...)
}
