package heartbeat

import (
	"testing"
	"time"
)

// This file has what the tests in package heartbeat_test need in addition to the API.

const (
	FrameData = frameData
	FramePing = framePing
	FramePong = framePong
	FrameEnd  = frameEnd

	Magic          = magic
	PrefaceLen     = prefaceLen
	HeaderLen      = headerLen
	NumberLen      = numberLen
	MaxControl     = maxControl
	MaxData        = maxData
	MaxPingPayload = maxPingPayload

	BufferSize = bufferSize
	TickLength = time.Duration(tickLength)
)

var ErrWriteEnded = errWriteEnded

// Preface, Frame and Numbered return what a peer sends.
func Preface(interval time.Duration) string {
	return string(appendPreface(nil, uint32(interval.Milliseconds())))
}

func Frame(kind byte, payload string) string {
	return string(appendHeader(nil, kind, len(payload))) + payload
}

func Numbered(kind byte, number uint32, payload string) string {
	return string(appendNumbered(nil, kind, number, []byte(payload)))
}

// ReadClock reads the clock as Heard does.
func ReadClock() { now() }

// Suspend makes the clocks show that the machine was suspended for d. The monotonic clock does not
// advance. The test must not be parallel.
func Suspend(t *testing.T, d time.Duration) {
	suspended.Add(int64(d))
	t.Cleanup(func() { suspended.Add(-int64(d)) })
}

// Ended reports whether c has closed the connection inside.
func (c *Conn) Ended() bool {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return c.life.ended
}

// Paused reports whether nothing is read, because the buffer is full.
func (c *Conn) Paused() bool {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return c.life.paused
}

// SendError returns the error with which sending failed.
func (c *Conn) SendError() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.failure
}

// FailProtocol and FailDead end c as if its peer broke the format, or were dead.
func (c *Conn) FailProtocol() { c.fail(protocolError("for example")) }
func (c *Conn) FailDead()     { c.fail(&DeadError{}) }

// MonitorState is what a Monitor has to do. It is zero if there are no peers.
type MonitorState struct {
	Peers, Queued, Callers int
	First, Timer, Waiting  bool
}

func (m *Monitor) State() MonitorState {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, waiting := m.wheel.next()
	return MonitorState{m.peers, m.queued, m.callers, m.first != nil, m.timer != nil, waiting}
}
