package main

import (
	"errors"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnects: each variant sets what it should.
func TestConnects(t *testing.T) {
	t.Parallel()
	for _, name := range []string{ours, nets, none} {
		p, err := newPair(name, name)
		require.NoError(t, err)
		defer p.l.Close()
		near, far, dialing, accepting, err := p.connect()
		require.NoError(t, err)
		assert.Positive(t, dialing)
		assert.Positive(t, accepting)
		defer near.Close()
		defer far.Close()
		o, err := keepalive.Get(near)
		testpeer.SkipIfUnsupported(t, err)
		assert.Equal(t, name == none, o.Disabled, name)
		o, err = keepalive.Get(far)
		testpeer.SkipIfUnsupported(t, err)
		assert.Equal(t, name == none, o.Disabled, name)
		if name != none {
			assert.Equal(t, typical.Idle, o.Idle, name)
		}
	}
}

// TestTrial: one setting, on a real kernel.
func TestTrial(t *testing.T) {
	t.Parallel()
	c := trials()[0]
	late := measureLateness()
	took, err := c.measure()
	lateness := late()
	testpeer.SkipIfUnsupported(t, err)
	assert.GreaterOrEqual(t, took, c.promised)
	assert.LessOrEqual(t, took, c.allowed()+lateness)
}

func TestTrials(t *testing.T) {
	t.Parallel()
	all := trials()
	assert.GreaterOrEqual(t, len(all), 12)
	for _, c := range all {
		require.NoError(t, c.o.Validate())
		assert.NotZero(t, c.promised)
		assert.LessOrEqual(t, c.allowed(), 21*time.Second)
	}
}

// TestLoads: each load sends the heartbeats of all its peers.
func TestLoads(t *testing.T) {
	t.Parallel()
	const peers, every = 100, 300 * time.Millisecond
	win := windows{4, 2 * every}
	seen, err := measureLoads(peerLoads, peers, every, win)
	testpeer.SkipIfUnsupported(t, err)
	for name, u := range seen {
		assert.Len(t, u.CPU, win.n)
		assert.InEpsilon(t, peers/every.Seconds(), spreadOf(u.Sent).median, 0.3, name)
		assert.Positive(t, u.Bytes, name)
	}
	_, err = measureLoads([]load{{name: "nobody"}}, 1, every, win)
	assert.ErrorContains(t, err, "nobody")
	_, err = measureLoads([]load{{bytes: 1e9}}, 1e6, every, win)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}

// TestWrappers: each moves everything that is written.
func TestWrappers(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 512, 100_000} {
		all, err := moveAll(size, 32, 8, 3)
		require.NoError(t, err)
		assert.Len(t, all, len(wrappers))
	}
}
