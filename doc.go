// Package keepalive sets TCP keepalive and user timeouts on any connection, and
// reads them back, on every system that Go runs on.
//
// TCP does not tell a program that its peer is gone: a pulled cable, a crashed
// host, a NAT box that forgot. Keepalive has the kernel ask. A connection on
// which nothing has arrived for Idle is probed every Interval, and dropped after
// Count probes without an answer; the pending Read then returns an error,
// usually ETIMEDOUT. While sent data is unacknowledged Linux sends no probes: a
// user timeout bounds that.
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
// [DetectWithin] and [KeepOpen] find the settings for a goal, and
// [Options.DetectionTime] tells what settings amount to. [Options.UnmarshalText]
// reads them from flags and files: off, idle=45s,interval=5s,count=3.
//
// [Inspect] asks the kernel what a connection is doing: how long its peer has
// been silent, what is unanswered, and when it will be given up. [Diagnose] tells
// why one ended, and a dead peer from a deadline.
//
// What a kernel's answer cannot prove, that the application behind it is alive,
// is for package [github.com/go-keepalive/keepalive/heartbeat]; it also says
// which of keepalive, user timeout and heartbeat to take when.
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
// What each system takes. Evidence is the kind there is: "kernel", run on real
// kernels, dead peers included; "Wine", run under Wine, whose sockets are
// Linux's; "numbers", option numbers compared with golang.org/x/sys, compiled,
// vetted, the logic tested on made-up systems, and not run.
//
//	system          idle           interval       count    user timeout              evidence
//	Linux           1..32767 s     1..32767 s     1..127   TCP_USER_TIMEOUT, ms      kernel
//	Android         1..32767 s     1..32767 s     1..127   TCP_USER_TIMEOUT, ms      numbers
//	Windows ≥1709   1..4294967 s   1..4294967 s   1..255   TCP_MAXRT, s (numbers)    Wine 10
//	Windows before  ms, see below  ms, see below  –        TCP_MAXRT, s (numbers)    Wine 8
//	macOS, iOS      1..4294967 s   1..4294967 s   any      TCP_RXT_CONNDROPTIME, s   numbers
//	FreeBSD         1..4294967 s   1..4294967 s   any      TCP_MAXUNACKTIME, s, ≥14  numbers
//	NetBSD          half-seconds   half-seconds   any      –                         numbers
//	OpenBSD         –              –              –        –                         numbers
//	DragonFly BSD   1..32767 s     1..32767 s     1..127   –                         numbers
//	illumos         1..864000 s    1..60 s        any      TCP_ABORT_THRESHOLD, ms   numbers
//	Solaris 11.4    10..864000 s   10..864000 s   any      TCP_ABORT_THRESHOLD, ms   numbers
//	AIX             seconds        seconds        any      –                         numbers, from memory
//	Plan 9, WASI, JavaScript: nothing; every call says so
//
// Windows before 10 version 1709 has the control code SIO_KEEPALIVE_VALS, which
// sets both times at once and cannot be read. One that is left at zero gets the
// documented default there, two hours or one second.
//
// On illumos give interval and count together: from one alone the kernel
// derives the other, so that their product is eight minutes.
package keepalive
