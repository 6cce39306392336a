package heartbeat

import "math/bits"

// The wheel counts time in ticks of 2^23 nanoseconds, which is 8.4 ms.
const (
	tickBits   = 23
	tickLength = int64(1 << tickBits)
)

const (
	slotBits = 6 // a word of occupied per level
	slots    = 1 << slotBits
	levels   = (64 - tickBits + slotBits - 1) / slotBits // enough for 64 bits
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, SOSP 1987). The level of
// a peer is the highest group of six bits in which its time differs from the wheel's.
// As the time comes near, the peer moves to lower levels. Adding and removing take
// constant time. The zero value is at the time zero.
type wheel struct {
	time     uint64 // in ticks; the times of all peers are later
	occupied [levels]uint64
	slot     [levels][slots]*Peer
}

// ticks returns the first tick that is not before t. It is unsigned, so that times
// before epoch are in order, too.
func ticks(t int64) uint64 { return uint64(t+tickLength-1) >> tickBits }

// add adds p at the time p.beat.wake, and rounds that up to a future tick.
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

// remove removes p if it is in the wheel.
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

// next returns the next tick at which peers are due, or have to be moved to a lower
// level, and the slot that holds them. If the wheel is empty, ok is false.
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

// advance moves the wheel to the tick that contains t. It removes the peers that are
// due and calls due for each.
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
