package heartbeat

import "math/bits"

// A tick is the time between two looks at the wheel, in nanoseconds a power of
// two: 8.4 ms.
const (
	tickBits = 23
	tick     = int64(1 << tickBits)
)

const (
	slotBits = 6 // a word of occupied per level
	slots    = 1 << slotBits
	levels   = (64 - tickBits + slotBits - 1) / slotBits // all that 64 bits can hold
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, SOSP 1987). A peer
// stands on the level of the highest group of six bits in which its time
// differs from the wheel's, and moves down as that comes near. Adding and
// removing take constant time. The zero value is at the time zero.
type wheel struct {
	time     uint64 // in ticks; all peers on it come later
	occupied [levels]uint64
	slot     [levels][slots]*Peer
}

// ticks is the first tick that is not before t. Times are unsigned here, so
// that those before epoch are in order, too.
func ticks(t int64) uint64 { return uint64(t+tick-1) >> tickBits }

// add puts p where its wake says, and rounds that up to a tick to come.
func (w *wheel) add(p *Peer) {
	at := max(ticks(p.beat.wake), w.time+1)
	p.beat.wake = int64(at << tickBits)
	level := (bits.Len64(at^w.time) - 1) / slotBits
	i := at >> (level * slotBits) % slots
	head := &w.slot[level][i]
	p.next, p.prev = *head, head
	if p.next != nil {
		p.next.prev = &p.next
	}
	*head = p
	w.occupied[level] |= 1 << i
}

// remove takes p off, if it is on.
func (w *wheel) remove(p *Peer) {
	if p.prev == nil {
		return
	}
	*p.prev = p.next
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.next, p.prev = nil, nil
}

// next is the tick at which there is something to do, to move peers at least,
// and the slot that holds them; ok is false when the wheel is empty.
func (w *wheel) next() (at uint64, head **Peer, ok bool) {
	for level, occupied := range w.occupied {
		for ; occupied != 0; occupied &= occupied - 1 {
			i := uint64(bits.TrailingZeros64(occupied))
			if head = &w.slot[level][i]; *head == nil { // its peers were removed
				w.occupied[level] &^= 1 << i
				continue
			}
			shift := level * slotBits
			return (w.time>>shift&^(slots-1) | i) << shift, head, true
		}
	}
	return 0, nil, false
}

// advance moves the wheel to the tick that t is in and calls due for the peers
// whose time has come, which are off the wheel then.
func (w *wheel) advance(t int64, due func(*Peer)) {
	to := uint64(t) >> tickBits
	for {
		at, head, ok := w.next()
		if !ok || at > to {
			break
		}
		w.time = at
		for p := *head; p != nil; p = *head {
			w.remove(p)
			if ticks(p.beat.wake) <= to {
				due(p)
			} else {
				w.add(p)
			}
		}
	}
	w.time = max(w.time, to)
}
