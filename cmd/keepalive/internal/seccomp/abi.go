//go:build linux

package seccomp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// An abi is one of the ways in which programs make system calls. A 64-bit kernel has several,
// because it also runs 32-bit programs.
type abi struct {
	goarch     string // of Go programs that use it; Go has no x32
	audit      uint32 // seccomp_data.arch
	socket     uint32 // number of the system call
	setsockopt uint32
	socketcall uint32 // one call for all socket functions, with the arguments in memory; 0 if there is none
}

// The numbers are those of arch/x86/entry/syscalls/*.tbl, arch/arm/tools/syscall.tbl and
// include/uapi/asm-generic/unistd.h. All of these systems are little-endian.
var abis = []abi{
	{goarch: "amd64", audit: unix.AUDIT_ARCH_X86_64, socket: 41, setsockopt: 54},
	{goarch: "", audit: unix.AUDIT_ARCH_X86_64, socket: x32 | 41, setsockopt: x32 | 541},
	{goarch: "386", audit: unix.AUDIT_ARCH_I386, socket: 359, setsockopt: 366, socketcall: 102},
	{goarch: "arm64", audit: unix.AUDIT_ARCH_AARCH64, socket: 198, setsockopt: 208},
	{goarch: "arm", audit: unix.AUDIT_ARCH_ARM, socket: 281, setsockopt: 294},
}

const x32 = 0x40000000 // __X32_SYSCALL_BIT

// A function is one of socketcall(2), include/uapi/linux/net.h.
type function uint32

const (
	noFunction function = 0
	socket     function = 1
	setsockopt function = 14
)

// decode returns the function that a program calls, and its first three arguments.
func decode(n *notification) (f function, args [3]uint32) {
	nr := uint32(n.data.nr)
	for i := range args {
		args[i] = uint32(n.data.args[i])
	}
	for _, a := range abis {
		switch {
		case a.audit != n.data.arch:
		case nr == a.socket:
			return socket, args
		case nr == a.setsockopt:
			return setsockopt, args
		case a.socketcall != 0 && nr == a.socketcall:
			var memory [4 * len(args)]byte
			if err := caller(n.tid).readMemory(n.data.args[1], memory[:]); err != nil {
				return noFunction, args
			}
			f = function(args[0])
			for i := range args {
				args[i] = binary.LittleEndian.Uint32(memory[4*i:])
			}
			return f, args
		}
	}
	return noFunction, args
}
