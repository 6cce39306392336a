package heartbeat

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The format is described in FORMAT.md.
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
	headLen    = 4
	maxData    = 64 << 10
	maxControl = 128
	numberLen  = 4 // of a ping or pong
)

// ErrProtocol is in every error that says that the peer of a [Conn] does not
// keep to the format, or does not speak it at all.
var ErrProtocol = errors.New("heartbeat: protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// appendHead appends the head of a frame with n bytes of payload.
func appendHead(b []byte, kind byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(kind)<<24|uint32(n))
}

// frames takes apart what the peer sends, byte by byte: it keeps the state from one
// read to the next, and no data.
type frames struct {
	// control is called for the preface, and for each frame that is not data. The
	// payload is good until it returns.
	control func(kind byte, payload []byte) error

	kind    byte
	length  int // of the payload
	left    int // what is to come of it
	head    [headLen]byte
	heads   int // how much of head has come
	payload [maxControl]byte
	ended   bool
	waited  int64 // for the bytes of this frame, in nanoseconds
}

func newFrames(control func(kind byte, payload []byte) error) frames {
	return frames{control: control, kind: framePreface, length: prefaceLen, left: prefaceLen}
}

// amid tells whether a frame, or the preface, has begun and not ended.
func (f *frames) amid() bool { return f.left > 0 || f.heads > 0 }

// amidData tells whether data has been promised that has not come.
func (f *frames) amidData() bool {
	return f.left > 0 && f.kind == frameData || f.heads > 0 && f.head[0] == frameData
}

// parse takes b apart. It moves the data in b to the front, and returns how much
// there is.
func (f *frames) parse(b []byte) (data int, err error) {
	for at := 0; at < len(b); {
		if f.left == 0 {
			if f.heads == 0 {
				f.waited, f.length = 0, 0
			}
			n := copy(f.head[f.heads:], b[at:])
			f.heads += n
			at += n
			if f.heads == headLen {
				if err := f.begin(); err != nil {
					return data, err
				}
			}
			continue
		}
		n := min(f.left, len(b)-at)
		came := b[at : at+n]
		at += n
		if f.kind == frameData {
			if data < at-n {
				copy(b[data:], came)
			}
			data += n
			f.left -= n
			continue
		}
		copy(f.payload[f.length-f.left:], came)
		f.left -= n
		payload := f.payload[:f.length-f.left]
		if f.kind == framePreface {
			if n := min(len(payload), len(magic)); string(payload[:n]) != magic[:n] {
				return data, notSpoken(payload)
			}
		}
		if f.left == 0 {
			if err := f.control(f.kind, payload); err != nil {
				return data, err
			}
		}
	}
	return data, nil
}

// begin begins the frame whose head has come.
func (f *frames) begin() error {
	head := binary.BigEndian.Uint32(f.head[:])
	f.heads = 0
	f.kind, f.length = byte(head>>24), int(head&(1<<24-1))
	f.left = f.length
	least, most := 0, 0
	switch f.kind {
	case frameData:
		least, most = 1, maxData
		if f.ended {
			return protocolError("data after the end")
		}
	case framePing:
		least, most = numberLen, maxControl
	case framePong:
		least, most = numberLen, numberLen
	case frameEnd:
		if f.ended {
			return protocolError("a second end")
		}
		f.ended = f.length == 0
	default:
		return protocolError("no frame has the type %d", f.kind)
	}
	if f.length < least || f.length > most {
		return protocolError("a frame of type %d has %d bytes: want %d to %d", f.kind, f.length, least, most)
	}
	if f.length == 0 {
		return f.control(f.kind, nil)
	}
	return nil
}

func notSpoken(began []byte) error {
	const version = len(magic) - 1
	if len(began) > version && string(began[:version]) == magic[:version] {
		return protocolError("the peer speaks version %d: want %d", began[version], magic[version])
	}
	return protocolError("the peer does not speak it: it began with %q", began)
}
