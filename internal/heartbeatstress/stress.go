// Package heartbeatstress runs random traffic over heartbeat.Conn and checks what
// arrives. A case is determined by its seed, except for the timing.
package heartbeatstress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-keepalive/keepalive/heartbeat"
)

// Mode is how a case ends.
type Mode int

const (
	HalfClose Mode = iota // both sides write, call CloseWrite, and read until io.EOF
	Close                 // side 0 writes and calls Close, side 1 reads until io.EOF
	CloseBoth             // both sides write and call Close at some time
	Silence               // the network stops to carry anything: both sides get a DeadError
	modes
)

func (m Mode) String() string {
	return [...]string{"HalfClose", "Close", "CloseBoth", "Silence"}[m]
}

// Case is what both sides of a connection do.
type Case struct {
	Seed         uint64
	Mode         Mode
	Interval     [2]time.Duration // of each side
	Timeout      time.Duration
	Bytes        [2]int // that each side writes
	Pauses       [2]bool
	Sips         [2]bool // the side reads a few bytes every few milliseconds
	Deadlines    [2]bool
	SmallBuffers bool
}

// NewCase returns the case of a seed. Timeout is at least minTimeout.
func NewCase(seed uint64, minTimeout time.Duration) Case {
	r := rand.New(rand.NewPCG(seed, 1))
	c := Case{Seed: seed, Mode: Mode(r.IntN(int(modes)))}
	c.SmallBuffers = c.Mode != Silence && r.IntN(4) == 0
	longest := time.Duration(0)
	for side := range 2 {
		c.Interval[side] = time.Duration(logUniform(r, int(time.Millisecond), int(200*time.Millisecond)))
		longest = max(longest, c.Interval[side])
		c.Bytes[side] = logUniform(r, 1, 2<<20)
		c.Pauses[side] = r.IntN(4) == 0
		c.Deadlines[side] = r.IntN(2) == 0
		c.Sips[side] = r.IntN(8) == 0
	}
	c.Timeout = max(minTimeout, longest*time.Duration(2+r.IntN(4)))
	for side := range 2 {
		if c.Sips[1-side] || c.Mode == Silence {
			c.Bytes[side] = min(c.Bytes[side], 4<<10)
		}
		if c.SmallBuffers {
			c.Bytes[side] = min(c.Bytes[side], 256<<10)
		}
	}
	if c.Mode == Close {
		c.Bytes[1] = 0
	}
	return c
}

func logUniform(r *rand.Rand, from, to int) int {
	return int(float64(from) * math.Pow(float64(to)/float64(from), r.Float64()))
}

// data is what both sides write, from an offset that depends on the seed and side.
var data = func() []byte {
	b := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (c Case) data(side int) []byte {
	from := rand.New(rand.NewPCG(c.Seed, uint64(2+side))).IntN(len(data) / 2)
	return data[from : from+c.Bytes[side]]
}

// Conn is a connection under test: a heartbeat.Conn, or for comparison a bare one.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Config returns the settings of a side. The function closed has to be called when
// Close has returned, and failed returns an error if a function of the application was
// called later.
func (c Case) Config(side int) (cfg heartbeat.ConnConfig, closed func(), failed func() error) {
	var isClosed, late atomic.Bool
	cfg.Config = heartbeat.Config{Interval: c.Interval[side], Timeout: c.Timeout, Jitter: 0.5}
	cfg.OnPing = func([]byte) {
		if isClosed.Load() {
			late.Store(true)
		}
	}
	cfg.Payload = func() []byte { cfg.OnPing(nil); return make([]byte, c.Seed%125) }
	return cfg, func() { isClosed.Store(true) }, func() error {
		if late.Load() {
			return errors.New("OnPing or Payload was called after Close had returned")
		}
		return nil
	}
}

// Wrap wraps one end of a connection, plays a side of the case, and closes.
func (c Case) Wrap(inner net.Conn, side int) error {
	cfg, closed, failed := c.Config(side)
	conn, err := heartbeat.NewConn(inner, cfg)
	if err != nil {
		return err
	}
	err = c.Play(conn, side)
	conn.Close()
	closed()
	return errors.Join(err, failed())
}

// Play plays a side of the case.
func (c Case) Play(conn Conn, side int) error {
	var wg sync.WaitGroup
	var readErr, writeErr error
	switch {
	case c.Mode == CloseBoth:
		r := rand.New(rand.NewPCG(c.Seed, uint64(4+side)))
		time.AfterFunc(time.Duration(logUniform(r, int(time.Microsecond), int(50*time.Millisecond))), func() { conn.Close() })
		wg.Go(func() { c.read(conn, side) })
		wg.Go(func() { c.write(conn, side) })
		wg.Wait()
		return nil
	case c.Mode == Close && side == 0:
		if err := c.write(conn, side); err != nil {
			return fmt.Errorf("side %d: %w", side, err)
		}
		return conn.Close()
	}
	wg.Go(func() { readErr = c.read(conn, side) })
	wg.Go(func() {
		if writeErr = c.write(conn, side); writeErr == nil && c.Mode == HalfClose {
			writeErr = conn.CloseWrite()
		}
	})
	wg.Wait()
	if c.Mode == Silence {
		var dead *heartbeat.DeadError
		if !errors.As(readErr, &dead) {
			return fmt.Errorf("side %d: Read returned %v after the network stopped: must be a DeadError", side, readErr)
		}
		return nil
	}
	if err := errors.Join(readErr, writeErr); err != nil {
		return fmt.Errorf("side %d: %w", side, err)
	}
	return nil
}

// write writes all data of a side.
func (c Case) write(conn Conn, side int) error {
	r := rand.New(rand.NewPCG(c.Seed, uint64(6+side)))
	b := c.data(side)
	for pos := 0; pos < len(b); {
		size := min(logUniform(r, 1, 1<<20), len(b)-pos)
		if c.Deadlines[side] {
			conn.SetWriteDeadline(time.Now().Add(time.Duration(r.IntN(int(3 * time.Millisecond)))))
			if r.IntN(4) == 0 { // extended in the middle
				later := time.Now().Add(time.Duration(r.IntN(int(6 * time.Millisecond))))
				if r.IntN(2) == 0 {
					later = time.Time{}
				}
				time.AfterFunc(time.Duration(r.IntN(int(3*time.Millisecond))), func() { conn.SetWriteDeadline(later) })
			}
		}
		n, err := conn.Write(b[pos : pos+size])
		if n < 0 || n > size || n < size && err == nil {
			return fmt.Errorf("write of %d bytes returned %d, %v", size, n, err)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("write at %d of %d: %w", pos, len(b), err)
		}
		pos += n
		if r.IntN(16) == 0 {
			time.Sleep(time.Duration(logUniform(r, int(time.Microsecond), int(20*time.Millisecond))))
		}
	}
	return conn.SetWriteDeadline(time.Time{})
}

// read reads and checks all data of the other side.
func (c Case) read(conn Conn, side int) error {
	r := rand.New(rand.NewPCG(c.Seed, uint64(8+side)))
	want := c.data(1 - side)
	b := make([]byte, 256<<10)
	polls := r.IntN(2) == 0
	pause := c.Timeout + c.Timeout/2
	for pos := 0; ; {
		size := logUniform(r, 1, len(b))
		switch {
		case c.Sips[side]:
			size = 20
			time.Sleep(5 * time.Millisecond)
		case c.Pauses[side] && r.IntN(4) == 0:
			time.Sleep(pause)
			pause = 0 // once, or it takes too long
		}
		if polls {
			conn.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(int(3 * time.Millisecond)))))
		}
		n, err := conn.Read(b[:size])
		if n > len(want)-pos || !bytes.Equal(b[:n], want[pos:pos+n]) {
			return fmt.Errorf("read at %d of %d returned %d bytes that differ", pos, len(want), n)
		}
		pos += n
		switch {
		case err == io.EOF && pos == len(want):
			return nil
		case err == io.EOF:
			return fmt.Errorf("read returned io.EOF at %d of %d", pos, len(want))
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read at %d of %d: %w", pos, len(want), err)
		case err == nil && n == 0:
			return errors.New("read returned 0, nil")
		}
	}
}
