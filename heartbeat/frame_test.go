package heartbeat

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// decode implements FORMAT.md a second time, for all of b at once. It returns the data and what else
// arrived. bad reports whether b violates the format.
func decode(b []byte) (data string, others []string, bad bool) {
	n := min(len(b), len(magic))
	if string(b[:n]) != magic[:n] {
		return "", nil, true
	}
	if len(b) < prefaceLen {
		return "", nil, false
	}
	if binary.BigEndian.Uint32(b[4:]) == 0 {
		return "", nil, true
	}
	others = append(others, fmt.Sprintf("0 %q", b[:prefaceLen]))
	b = b[prefaceLen:]
	ended := false
	for len(b) >= headerLen {
		kind, length := b[0], int(b[1])<<16|int(b[2])<<8|int(b[3])
		b = b[headerLen:]
		ok := kind == frameData && 1 <= length && length <= 65536 && !ended ||
			kind == framePing && 4 <= length && length <= 128 ||
			kind == framePong && length == 4 ||
			kind == frameEnd && length == 0 && !ended
		if !ok {
			return data, others, true
		}
		payload := b[:min(length, len(b))]
		b = b[len(payload):]
		switch {
		case kind == framePing && len(payload) == length && binary.BigEndian.Uint32(payload) == 0:
			return data, others, true
		case kind == frameData:
			data += string(payload)
		case len(payload) == length:
			others = append(others, fmt.Sprintf("%d %q", kind, payload))
		}
		ended = ended || kind == frameEnd
	}
	return data, others, false
}

// FuzzFrames holds the parser against decode: however the bytes are cut into reads,
// it finds the same.
func FuzzFrames(f *testing.F) {
	hello := Preface(time.Second)
	for _, s := range []string{
		hello,
		hello + Frame(frameData, "abc") + Numbered(framePing, 1, "load") + Frame(frameData, "d") + Numbered(framePong, 1, "") + Frame(frameEnd, ""),
		hello + Frame(frameData, strings.Repeat("x", 1000)) + Frame(frameEnd, "") + Numbered(framePing, 2, ""),
		hello + Frame(frameEnd, "") + Frame(frameData, "x"),
		hello + Frame(9, "x"),
		"GET / HTTP/1.1\r\n",
	} {
		f.Add([]byte(s), []byte{1})
		f.Add([]byte(s), []byte{3, 200, 1})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		wantData, wantOthers, wantBad := decode(stream)
		var data strings.Builder
		var others []string
		p := newFrameReader()
		var err error
		for i := 0; len(stream) > 0 && err == nil; i++ {
			n := len(stream)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			b := append([]byte(nil), stream[:n]...)
			stream = stream[n:]
			n, err = p.parse(b)
			data.Write(b[:n])
			for control := p.control; len(control) > 0; {
				var kind byte
				var payload []byte
				kind, payload, control = nextControl(control)
				others = append(others, fmt.Sprintf("%d %q", kind, payload))
			}
			p.control = p.control[:0]
		}
		assert.Equal(t, wantBad, err != nil)
		assert.Equal(t, wantBad, errors.Is(err, ErrProtocol))
		assert.Equal(t, wantOthers, others)
		assert.Equal(t, wantData, data.String())
	})
}

//go:embed FORMAT.md
var format string

// TestFormat: the numbers of FORMAT.md are those of the code.
func TestFormat(t *testing.T) {
	t.Parallel()
	for _, want := range []string{
		fmt.Sprintf("`% X`", magic),
		fmt.Sprintf("| %d | data | 1 to %d |", frameData, maxData),
		fmt.Sprintf("| %d | ping | %d to %d |", framePing, numberLen, maxControl),
		fmt.Sprintf("| %d | pong | %d |", framePong, numberLen),
		fmt.Sprintf("| %d | end | 0 |", frameEnd),
	} {
		assert.Contains(t, format, want)
	}
	assert.EqualValues(t, 1<<24|3, binary.BigEndian.Uint32(appendHeader(nil, 1, 3)))
}
