package heartbeat

import "sync"

const (
	// bufferSize is the size of a pooled buffer, and so a limit to what is read before
	// the application asks for it.
	bufferSize = 16 << 10

	// idleSize is the size of the buffer in which an idle connection waits for bytes.
	idleSize = 512
)

type buffer [bufferSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// readBuffer has data that no Read has taken. The callers have the mu of the reader.
type readBuffer struct {
	pooled     *buffer // nil if the data is in idle
	idle       []byte
	start, end int // of the data
}

func (b *readBuffer) buf() []byte {
	if b.pooled != nil {
		return b.pooled[:]
	}
	return b.idle
}

func (b *readBuffer) data() []byte { return b.buf()[b.start:b.end] }
func (b *readBuffer) len() int     { return b.end - b.start }

// full reports whether there is too much data to read more.
func (b *readBuffer) full() bool { return b.end == len(b.buf()) && b.len() > bufferSize/2 }

// room returns where the next bytes go. If small, idle is large enough for them.
func (b *readBuffer) room(small bool) []byte {
	switch {
	case b.len() == 0 && small:
		b.release()
		if b.idle == nil {
			b.idle = make([]byte, idleSize)
		}
	case b.len() == 0 && b.pooled != nil:
		b.start, b.end = 0, 0
	case b.pooled == nil || b.end == bufferSize:
		data := b.data()
		if b.pooled == nil {
			b.pooled = buffers.Get().(*buffer)
		}
		b.start, b.end = 0, copy(b.pooled[:], data)
	}
	return b.buf()[b.end:]
}

// release gives the pooled buffer back.
func (b *readBuffer) release() {
	if b.pooled != nil {
		buffers.Put(b.pooled)
		b.pooled = nil
	}
	b.start, b.end = 0, 0
}

// releaseEmpty gives the pooled buffer back if there is no data.
func (b *readBuffer) releaseEmpty() {
	if b.len() == 0 {
		b.release()
	}
}
