// Package idletimeout measures after how long the middleboxes on a path drop an idle TCP
// connection. It needs nothing but a TCP server at the other end.
//
// It opens connections, leaves each of them idle for another time, has the kernel send a
// keepalive probe, and sees whether the server's kernel answers. A search decides how long
// each connection stays idle (search.go). It knows no sockets, so that the tests can run it
// against simulated middleboxes. Measure runs it with sockets.
//
// Measure needs Linux. There, a connection's probe is sent at the very time when the options
// are set, and the kernel counts the segments that arrive, also those without data. Of other
// systems, only FreeBSD reports that a probe was answered. macOS and the BSDs drop a
// connection whose idle time is set after a long silence (see package keepalive).
package idletimeout

import "time"

// Verdict is what was found.
type Verdict string

const (
	Drops        Verdict = "drops"         // the path drops idle connections, and sends nothing
	Resets       Verdict = "resets"        // the path drops idle connections, and answers a later segment with RST
	Closes       Verdict = "closes"        // idle connections are closed when the time is over, unless probes are sent
	ServerCloses Verdict = "server-closes" // the server closes connections without data, despite probes
	ServerProbes Verdict = "server-probes" // the server sends segments before the path drops a connection
	NoAnswer     Verdict = "no-answer"     // no probe was answered
	Open         Verdict = "open"          // connections were open after the longest time
	Unfinished   Verdict = "unfinished"    // the measurement was ended early
)

// Result is the result of a measurement, or of a part of it.
type Result struct {
	Verdict Verdict

	// Lower is the longest idle time after which a connection was open, and Upper the
	// shortest one after which connections were not. They are zero if not found.
	Lower, Upper time.Duration

	// Closed is how connections were closed, for the verdicts Closes and ServerCloses.
	Closed *Closing

	// Every is the time between two segments of the server, for the verdict ServerProbes. It
	// is 0 if they arrive too often to measure anything, at least every second or so. Data
	// reports whether they have data.
	Every time.Duration
	Data  bool

	// Reopened reports that the server had closed connections some time before, and that
	// this arrived only after a probe. So the path dropped them, and let the probe through.
	Reopened bool

	// Refused is the number of connections that the server closed at once.
	Refused int

	// Restarts is the number of times that connections of different ages were closed at the
	// same time, once. The server was probably restarted.
	Restarts int

	// Outages is the number of times that the network was down during the measurement.
	Outages int
}

// Closing is how a connection was closed without a probe.
type Closing struct {
	After   time.Duration // since the connection was opened, or data arrived. The shortest time
	Longest time.Duration // the longest time of other connections that were closed after about the same time
	Reset   bool          // with RST, otherwise with FIN
	Text    string        // the beginning of what the server sent just before, or ""
}
