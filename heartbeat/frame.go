package heartbeat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// FORMAT.md specifies the format.
const (
	framePreface = iota // not a frame
	frameData
	framePing
	framePong
	frameEnd
)

const (
	magic      = "\xb7hb\x01"
	prefaceLen = len(magic) + 4
	headerLen  = 4
	maxData    = 64 << 10
	maxControl = 128
	numberLen  = 4 // of a ping or pong

	// maxPingPayload is how many bytes of the application fit into a ping.
	maxPingPayload = maxControl - numberLen
)

// ErrProtocol matches every error that reports that the peer of a [Conn] violates
// the format, or does not use it at all.
var ErrProtocol = errors.New("heartbeat: protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// appendPreface appends the preface of a side that has this interval.
func appendPreface(b []byte, milliseconds uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, magic...), milliseconds)
}

// appendHeader appends the header of a frame with n bytes of payload.
func appendHeader(b []byte, kind byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(kind)<<24|uint32(n))
}

// appendNumbered appends a ping or a pong.
func appendNumbered(b []byte, kind byte, number uint32, payload []byte) []byte {
	b = appendHeader(b, kind, numberLen+len(payload))
	b = binary.BigEndian.AppendUint32(b, number)
	return append(b, payload...)
}

// frameReader parses what the peer sends. It keeps its state between reads, which
// may end anywhere, and it keeps no data.
type frameReader struct {
	kind      byte
	length    int // of the payload
	remaining int // bytes of the payload that have not arrived
	header    [headerLen]byte
	headerN   int // bytes of the header that have arrived
	payload   [maxControl]byte
	ended     bool
	waited    time.Duration // for the bytes of this frame

	// control has what parse found besides data, each with its header. The preface is
	// a frame of type 0 there. The caller empties it.
	control []byte
}

func newFrameReader() frameReader {
	return frameReader{kind: framePreface, length: prefaceLen, remaining: prefaceLen}
}

// inFrame reports whether a frame or the preface has begun and not ended.
func (f *frameReader) inFrame() bool { return f.remaining > 0 || f.headerN > 0 }

// limit returns how many of the next n bytes to read at once. Among large frames, a
// read stops before the data of the next one, so that parse need not move data.
func (f *frameReader) limit(n int) int {
	switch {
	case f.kind != frameData || f.length < maxData/2 || f.headerN > 0:
	case f.remaining > 0:
		n = min(n, f.remaining+headerLen)
	default:
		n = min(n, headerLen)
	}
	return n
}

// parse moves the data in b to its front and returns its length.
func (f *frameReader) parse(b []byte) (data int, err error) {
	for pos := 0; pos < len(b); {
		if f.remaining == 0 {
			if f.headerN == 0 {
				f.waited = 0
			}
			n := copy(f.header[f.headerN:], b[pos:])
			f.headerN += n
			pos += n
			if f.headerN == headerLen {
				if err := f.begin(); err != nil {
					return data, err
				}
			}
			continue
		}
		n := min(f.remaining, len(b)-pos)
		part := b[pos : pos+n]
		pos += n
		if f.kind == frameData {
			if data < pos-n {
				moveDown(b[data:], part)
			}
			data += n
			f.remaining -= n
			continue
		}
		copy(f.payload[f.length-f.remaining:], part)
		f.remaining -= n
		if err := f.checkControl(f.payload[:f.length-f.remaining]); err != nil {
			return data, err
		}
	}
	return data, nil
}

// moveDown copies src to dst, which begins a little before src in the same array. It
// copies in pieces: on amd64, one copy of 16 KiB that overlaps takes four times as long.
func moveDown(dst, src []byte) {
	const size = 1 << 10
	for len(src) > size {
		copy(dst, src[:size])
		dst, src = dst[size:], src[size:]
	}
	copy(dst, src)
}

// wait adds to the time that the bytes of this frame took to arrive. It returns an
// error if that is too long for its length.
func (f *frameReader) wait(d, timeout time.Duration) error {
	f.waited += min(d, timeout) // no more, because this process may have been stopped
	if f.inFrame() && f.waited/timeout >= time.Duration(2+f.length/1024) {
		return protocolError("frame of %d bytes incomplete after %v", f.length, f.waited.Round(time.Millisecond))
	}
	return nil
}

// begin begins the frame whose header has arrived.
func (f *frameReader) begin() error {
	header := binary.BigEndian.Uint32(f.header[:])
	f.headerN = 0
	f.kind, f.length = byte(header>>24), int(header&(1<<24-1))
	f.remaining = f.length
	var least, most int
	switch f.kind {
	case frameData:
		least, most = 1, maxData
		if f.ended {
			return protocolError("data frame after end frame")
		}
	case framePing:
		least, most = numberLen, maxControl
	case framePong:
		least, most = numberLen, numberLen
	case frameEnd:
		if f.ended {
			return protocolError("duplicate end frame")
		}
	default:
		return protocolError("unknown frame type %d", f.kind)
	}
	if f.length < least || f.length > most {
		return protocolError("frame of type %d has a payload of %d bytes: must be %d to %d", f.kind, f.length, least, most)
	}
	if f.kind == frameEnd {
		f.ended = true
		f.control = append(f.control, f.header[:]...)
	}
	return nil
}

// checkControl checks what has arrived of the preface, of a ping, or of a pong, and
// appends it to control when it is complete.
func (f *frameReader) checkControl(payload []byte) error {
	if f.kind == framePreface {
		const version = len(magic) - 1
		n := min(len(payload), len(magic))
		switch {
		case string(payload[:n]) == magic[:n]:
		case n > version && string(payload[:version]) == magic[:version]:
			return protocolError("version %d: must be %d", payload[version], magic[version])
		default:
			return protocolError("invalid preface %q", payload)
		}
	}
	if f.remaining > 0 {
		return nil
	}
	number := controlNumber(f.kind, payload)
	switch {
	case number == 0 && f.kind == framePreface:
		return protocolError("interval 0 in the preface: must be at least 1")
	case number == 0 && f.kind == framePing:
		return protocolError("ping number 0: must be at least 1")
	}
	f.control = append(appendHeader(f.control, f.kind, f.length), payload...)
	return nil
}

// controlNumber returns the interval in a preface, or the number in a ping or pong.
func controlNumber(kind byte, payload []byte) uint32 {
	if kind == framePreface {
		payload = payload[len(magic):]
	}
	return binary.BigEndian.Uint32(payload)
}

// nextControl takes the first frame off control.
func nextControl(control []byte) (kind byte, payload, rest []byte) {
	header := binary.BigEndian.Uint32(control)
	end := headerLen + int(header&(1<<24-1))
	return byte(header >> 24), control[headerLen:end], control[end:]
}

// maxQueued is the longest that controlQueue.take appends: a pong, two pings, of
// which one has no payload, and an end.
const maxQueued = 2*(headerLen+numberLen) + headerLen + maxControl + headerLen

// controlQueue has the frames without data that are to be sent, at most one of each
// kind.
type controlQueue struct {
	pong, ping, end bool
	last            bool // a ping after the end
	lastNumber      uint32
	pongNumber      uint32
	pingNumber      uint32 // of the last ping that was taken
	pingTime        int64  // when it was
	payload         []byte // of the next ping
}

// any reports whether take would append something.
func (q *controlQueue) any(end bool) bool { return q.pong || q.ping || end && (q.end || q.last) }

// take appends the frames to b and empties the queue. The end, and what comes after
// it, stays in the queue unless end is true.
func (q *controlQueue) take(b []byte, end bool) []byte {
	if q.pong {
		b = appendNumbered(b, framePong, q.pongNumber, nil)
		q.pong = false
	}
	if q.ping {
		b = q.appendPing(b, q.payload)
		q.ping, q.payload = false, nil
	}
	if end && q.end {
		b = appendHeader(b, frameEnd, 0)
		q.end = false
	}
	if end && q.last {
		b = q.appendPing(b, nil)
		q.last, q.lastNumber = false, q.pingNumber
	}
	return b
}

func (q *controlQueue) appendPing(b, payload []byte) []byte {
	q.pingNumber = max(q.pingNumber+1, 1)
	q.pingTime = now()
	return appendNumbered(b, framePing, q.pingNumber, payload)
}

// answered returns the time since the last ping, if number is its number. received
// reports whether the peer has received everything, which it has if the number is
// that of the ping after the end, or of one after it.
func (q *controlQueue) answered(number uint32) (rtt int64, received bool) {
	if number == q.pingNumber && q.pingTime != 0 {
		rtt = max(now()-q.pingTime, 1)
		q.pingTime = 0
	}
	return rtt, q.lastNumber != 0 && number != 0 && int32(number-q.lastNumber) >= 0
}
