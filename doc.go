// Package keepalive sets, reads back and explains TCP keepalive, on every
// system that Go runs on.
//
// TCP does not tell a program that its peer is gone: a pulled cable, a crashed
// host, a NAT box that forgot. Keepalive has the kernel ask. A connection on
// which nothing has arrived for Idle is probed every Interval, and dropped after
// Count probes without an answer; the pending Read then returns an error,
// usually ETIMEDOUT. A user timeout bounds how long sent data may stay
// unacknowledged, where keepalive is no help.
//
//	err := keepalive.Enable(conn, keepalive.Options{
//		Idle:     45 * time.Second,
//		Interval: 5 * time.Second,
//		Count:    3, // a dead peer is noticed after 45 s + 3·5 s
//	})
//
// [Enable], [Disable] and [Get] work on connections, [Dialer] and
// [ListenConfig] on all that a program dials and accepts, and [Listener] on
// listeners that exist already.
//
// # Why not package net alone
//
// Since Go 1.23 package net has KeepAliveConfig. It drops the errors of its own
// settings on dial and accept, cannot read them back, has no user timeout, and
// overwrites what a Control hook has set. Zero means 15 s there, or 9 probes; here
// it means what it was.
//
// # Systems
//
// A dash is an option that the system lacks. Times are in seconds and user
// timeouts in milliseconds, unless noted.
//
//	system          idle, interval      count     user timeout         evidence
//	Linux, Android  1 to 32767          1 to 127  TCP_USER_TIMEOUT     run on real kernels (Android: checked)
//	Windows ≥ 1709  1 to 4294967        1 to 255  TCP_MAXRT, s         run under Wine 10
//	Windows < 1709  milliseconds¹       –         TCP_MAXRT, s         run under Wine 8
//	macOS, iOS      1 to 4294967        any       TCP_RXT_CONNDROPTIME, s  checked
//	FreeBSD         1 to 4294967²       any       TCP_MAXUNACKTIME, s³ checked
//	NetBSD          half-seconds        any       –                    checked
//	OpenBSD         –                   –         –                    checked
//	DragonFly       1 to 32767          1 to 127  –                    checked
//	illumos         1⁴ to 864000, 60⁵   any       TCP_ABORT_THRESHOLD  checked
//	Solaris 11.4    10 to 864000        any       TCP_ABORT_THRESHOLD  checked
//	AIX             seconds             any       –                    checked
//	Plan 9, WASI, JavaScript  –         –         –                    all is reported as unsupported
//
// "Checked" means that the numbers were compared with golang.org/x/sys and the
// system's headers, that the package compiles and vets for it, and that its
// logic is tested on made-up systems; nothing was run there.
//
// ¹ Through SIO_KEEPALIVE_VALS, which sets both times and cannot be read: one
// that is left at zero gets Windows's documented default, 2 h or 1 s. ² Where
// the kernel's hz is 1000. ³ Since FreeBSD 14. ⁴ Ten in older kernels. ⁵ The
// interval's limit.
package keepalive
