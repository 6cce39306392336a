package idletimeout

import "time"

// arrival is the last segment that the server has sent by itself on a connection, or none.
type arrival struct {
	at  time.Duration
	gap time.Duration // between that one and the one before, or 0
}

// regular is the traffic that the server sends by itself, so that no connection is idle for
// longer.
type regular struct {
	seen  *conn         // one connection with regular segments
	every time.Duration // known if two connections have them
	data  bool
}

// arrive records a segment that the server has sent by itself. It reports whether the last
// three segments came at regular intervals.
func (a *arrival) arrive(now time.Duration) bool {
	last := *a
	*a = arrival{at: now}
	if last.at == 0 {
		return false
	}
	a.gap = now - last.at
	if a.gap < time.Second { // they belong together
		a.gap = last.gap
		return false
	}
	return last.gap > 0 && (a.gap-last.gap).Abs() <= max(200*time.Millisecond, a.gap/10)
}
