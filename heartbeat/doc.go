// Package heartbeat detects dead peers: it checks that the application at the other
// end of a connection still answers. TCP keepalive cannot do that, because the kernel
// answers its probes, even if the application hangs.
//
//   - [Run] is for protocols with a ping that waits for the answer, such as
//     websocket.Conn.Ping or sql.DB.PingContext.
//   - [Monitor] is for servers with many connections and a protocol that has pings of
//     its own. It needs no goroutine and no timer for each connection.
//   - [Conn] is for all other connections, such as raw TCP. You wrap both ends, and
//     Conn sends pings between the data.
//
// All three follow the same rules:
//
//   - Any byte from the peer counts as a sign of life. So a ping is sent only after
//     [Config.Interval] of silence.
//   - A peer that is silent for [Config.Timeout] is dead. It is reported once, as a
//     [DeadError].
//   - After a pause of this process or machine, every peer is pinged and has a full
//     Timeout to answer.
//
// For example, with Interval 5s and Timeout 15s, an idle peer is pinged every 5 seconds
// and reported dead after 15 seconds without an answer.
//
// # Keepalive, user timeout or heartbeat
//
// The table shows which failures each of them detects.
//
//	                              keepalive       user timeout     heartbeat
//	cable unplugged, host         if idle         if data is       yes
//	crashed                                       in flight
//	process hangs or is stopped   no              no               yes
//	proxy answers for a backend   no              no               yes
//	that is gone
//	NAT dropped the connection    yes, and        if data is       yes, and
//	                              prevents it     in flight        prevents it
//
//	needs support by the peer     no              no               yes
//	wakes both processes          no              no               yes
//
// An answered ping proves only that the code that answers pings is running. So answer
// pings where the work is done. A thread that does nothing else keeps answering while
// the work hangs.
//
// # False positives
//
// A peer that is silent for longer than Timeout is reported dead, although it may come
// back. Examples are a long garbage collection, a suspended laptop and a network
// outage. A peer that is too busy to answer a ping within Timeout-Interval is reported
// dead, too, unless it sends data. So is a peer whose answer has arrived, if this process
// is so busy that no goroutine reads it within that time.
//
// A ping can wait behind more data than the line carries in that time. A [Conn] then
// still shows that it is alive. With Run and Monitor, the protocol has to take care of
// it.
//
// A pause of this process is noticed if it is longer than (Timeout-Interval)/4 and
// longer than 100 ms. If the wall clock is set forward, that counts as a pause, too, and
// delays the detection by at most one Timeout.
//
// # Recommended settings
//
//	                                 Interval   Timeout   Jitter   and also
//	service to service, same site    5 s        15 s      0.2      DetectWithin(1 min)
//	over the internet                20 s       60 s      0.2      DetectWithin(2 min)
//	phones                           4 min      10 min    0.2      keepalive off
//	behind a load balancer           at most half of its idle timeout
//	a million connections            60 s       150 s     0.5      keepalive off
//	failover of a leader             100 ms     500 ms    0        user timeout
//
// Set Timeout to at least twice Interval. Then a second ping is sent before the peer is
// reported dead, and one slow answer does no harm.
//
// The last column has settings of package keepalive for the same connection. A user
// timeout, which keepalive.DetectWithin includes, detects a dead peer while you send to
// it without expecting an answer, and while a [Conn] is not read. TCP keepalive itself
// does nothing if heartbeats are more frequent, because the connection is never idle.
package heartbeat
