package heartbeat

import (
	"sync"
	"time"
)

// deadline is a point in time that ends waiting. mu guards it.
type deadline struct {
	mu     *sync.Mutex
	onPast func() // called with mu when the time passes
	at     time.Time
	timer  *time.Timer
}

// set changes the deadline. The zero time removes it.
func (d *deadline) set(t time.Time) {
	d.at = t
	switch {
	case d.passed():
		d.onPast()
	case t.IsZero():
		d.stop()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(t), d.onTimer)
	default:
		d.timer.Reset(time.Until(t))
	}
}

func (d *deadline) onTimer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.passed():
		d.onPast()
	case !d.at.IsZero(): // set has changed it, or somebody the wall clock
		d.timer.Reset(time.Until(d.at))
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && time.Until(d.at) <= 0 }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
