// Package heartbeat finds out whether the application at the other end of a
// connection is alive, which the kernel's acknowledgments cannot prove.
//
//   - [Run] pings by a function that waits for the answer, such as
//     websocket.Conn.Ping or sql.DB.PingContext, until the peer is dead.
//   - [Monitor] watches over many peers of a protocol that has its own pings: it
//     says when to send one and who is dead, and has no goroutine for a peer.
//   - [Conn] wraps both ends of any connection, and puts pings between the data.
//
// All three keep the same rules. Any byte from the peer is life, so pings go out
// only into silence. Silence of [Config.Timeout] is death; it is reported once, as
// a [DeadError]. After this process or machine has slept, every peer has a full
// round before a verdict: a ping, and Timeout to answer.
//
// # Keepalive, user timeout or heartbeat
//
// What notices each kind of death, and what it costs:
//
//	                              keepalive       user timeout     heartbeat
//	pulled cable, crashed host    when idle       with data in     both
//	                                              flight
//	process hangs or is stopped   no              no: its kernel   yes
//	                                              acknowledges
//	proxy answers for a backend   no              no               yes
//	that is gone
//	NAT forgot the connection     yes, and keeps  with data in     yes, and keeps
//	                              it alive        flight           it alive
//	must the peer take part       no              no               yes
//	wakes both processes          no              no               yes
//
// None of them proves that the peer does its work: a heartbeat proves that the
// code that answers it still runs, so answer it where the work is done. A thread
// of its own that answers pings lives on beside work that hangs. Nor is silence
// proof of death: a peer that stops longer than Timeout and comes back (a long
// garbage collection, a suspended laptop, a network that was away) is taken for
// dead. To be dead in this sense is to be of no use for that long.
//
// When each misjudges. Keepalive and user timeout kill whoever cannot be reached
// for that long, and never a peer that is merely slow. A heartbeat kills a peer
// too busy to answer within Timeout less Interval, unless data comes from it. Pings
// may also be stuck behind more data than the line carries in that time: a Conn
// has an answer to that, and with Run and Monitor the protocol must. A
// pause of this process is noticed if it is longer than a quarter of Timeout less
// Interval, and 100 ms; a wall clock set forward counts as a pause, and puts off
// a verdict by a round.
//
// # What to set
//
//	                                 Interval   Timeout   Jitter   and below
//	service to service, same site    5 s        15 s      0.2      DetectWithin(1 min)
//	over the internet                20 s       60 s      0.2      DetectWithin(2 min)
//	phones                           4 min      10 min    0.2      keepalive off
//	behind a load balancer           half its idle timeout, at most
//	a million connections            60 s       150 s     0.5      keepalive off
//	failover of a leader             100 ms     500 ms    0        user timeout
//
// Let Timeout be twice Interval or more: then a second ping has gone out before
// the verdict, and one slow answer kills nobody. Keep a user timeout below
// (keepalive.DetectWithin has one) where data is sent to peers that do not answer,
// or while a [Conn] is not read. Keepalive beside heartbeats that are more
// frequent does nothing, for the connection is never idle.
package heartbeat
