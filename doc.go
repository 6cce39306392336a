// Package keepalive configures TCP keepalive and TCP user timeouts on network connections, on
// every operating system that Go supports.
//
// TCP does not report a peer that disappears without closing the connection, for example
// because of an unplugged cable, a crashed host, or an expired NAT entry. With keepalive, the
// kernel sends a probe after a connection has been idle for some time. It drops the connection
// if several probes in a row remain unanswered. A pending Read then returns an error, usually
// ETIMEDOUT:
//
//	err := keepalive.Enable(conn, keepalive.Options{
//		Idle:     45 * time.Second, // first probe after 45s without a segment from the peer
//		Interval: 5 * time.Second,  // then a probe every 5s
//		Count:    3,                // dropped after 3 unanswered probes, so after 60s
//	})
//	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
//		return err
//	}
//
// Keepalive does not help on Linux while sent data is unacknowledged. Linux then retransmits for
// about 15 minutes and sends no probes. Set [Options.UserTimeout] to limit this time, or use
// [DetectWithin], which chooses all settings for a given detection time.
//
// Use [Enable], [Disable] and [Get] for existing connections, [Dialer] and [ListenConfig] for all
// connections that a program dials or accepts, and [Listener] for a listener that exists already.
// [Inspect] returns the state of a connection, and [Diagnose] the cause of an error.
// [Options.UnmarshalText] reads settings from flags and files.
//
// The peer's kernel answers a probe, even if the peer's application hangs. Package
// [github.com/go-keepalive/keepalive/heartbeat] detects that as well, and its documentation helps
// you to choose between keepalive, user timeout and heartbeat.
//
// # Terms
//
//   - A dead peer does not answer any more. It may have crashed, or the network between may be
//     broken.
//   - An unanswered probe is one for which the peer has sent no acknowledgment yet.
//   - The detection time is the time from the last segment of a dead peer until the kernel drops
//     the connection.
//   - A dropped connection was ended by this side's kernel. The next Read or Write returns an
//     error.
//
// # Comparison with package net
//
// Since Go 1.23, package net has [net.KeepAliveConfig]. It cannot read settings back, has no user
// timeout, ignores errors when it dials and accepts, and overwrites settings of a Control hook.
// Its zero fields select Go's defaults (Idle 15s, Interval 15s, Count 9). Zero fields of [Options]
// leave the current setting unchanged.
//
// # Silent connections
//
// Setting options on a connection that has been idle for a while has side effects.
//
//   - On Linux, if the connection has been silent for longer than Idle, the kernel sends a probe
//     at once. Each further call sends another one and counts it, so that Count+1 calls while no
//     answer arrives drop the connection. A user timeout includes the silence before the call,
//     so that one lost probe can drop the connection.
//   - On macOS, the BSDs and illumos, the kernel drops a live connection on which Idle is set after
//     a silence of Interval·Count or more, unless a segment arrives within Idle. For example,
//     with Idle 45s, Interval 5s and Count 3 this happens after 15s of silence. On FreeBSD,
//     Enable returns an error instead. The other systems do not report the silence.
//   - Repeated calls with the same options are safe on macOS, the BSDs, illumos and gVisor, because
//     Enable does not set values that are in effect already.
//   - macOS, NetBSD and OpenBSD do not start the timer again when keepalive is turned off and on,
//     until the next segment arrives. NetBSD sends the first probe after Interval instead of Idle.
//
// # Systems
//
// The page docs/systems.md of the repository has the options and accepted values of each system,
// and how they were verified. In short, the tests run on Linux 5.10 to 7.2, on gVisor, and under
// Wine. The option numbers of all other systems were checked, and the code compiles, but it was
// not run there.
//
// These differences are important:
//
//   - OpenBSD can only turn keepalive on and off. NetBSD, OpenBSD, DragonFly BSD and AIX have no user
//     timeout. Plan 9, WASI and JavaScript have no socket options, so that all functions return an
//     error matching [errors.ErrUnsupported].
//   - On macOS, FreeBSD, NetBSD and illumos, Idle + Interval·Count must be at most 4294967 s (NetBSD:
//     2147483647 s), because these kernels compute it in 32 bits.
//   - Windows before 10 version 1709 has SIO_KEEPALIVE_VALS, with times in milliseconds. It sets
//     Idle and Interval at once, so a zero field gets the default, two hours or one second.
//     They cannot be read. Before version 1703 the count cannot be set.
//   - macOS and the BSDs send probes also while data is unacknowledged, and drop the connection
//     after Idle + Interval·Count even if UserTimeout is longer. illumos does so without probes.
//   - On illumos, set Interval and Count together. From one of them the kernel derives the
//     other, for a product of 8 minutes. A Count below 8 alone sets an Interval of 60s, and the
//     connection is dropped after 8 minutes nevertheless.
//   - On gVisor, each Enable that changes a setting restarts the idle time. gVisor looks like Linux,
//     so the first call that depends on the difference asks the kernel with a new socket.
package keepalive
