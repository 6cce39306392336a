package main

import (
	"encoding/hex"
	"errors"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	const (
		ethernet4 = "020000000002" + "020000000001" + "0800"
		ip4       = "4500003412344000400600000a141e010a141e02" // 52 bytes
		ethernet6 = "020000000002" + "020000000001" + "86dd"
		ip6       = "60000000002c0640" + "fd000020003000000000000000000001" + "fd000020003000000000000000000002" // 40 + 44
		tcp       = "30390050" + "0000000100000002" + "8010" + "0100" + "00000000" + "0101080a0000000000000000"  // 12345 to 80, 32 bytes
	)
	frame := func(s string) []byte {
		b, err := hex.DecodeString(s)
		require.NoError(t, err)
		return b
	}
	p, ok := decode(frame(ethernet4+ip4+tcp), true)
	assert.True(t, ok)
	assert.Equal(t, packet{Port: 12345, Out: true, IP: 52, Ethernet: 66}, p)
	p, ok = decode(frame(ethernet4+ip4+tcp), false)
	assert.True(t, ok)
	assert.Equal(t, 80, p.Port, "the near end's, whichever way it goes")
	p, ok = decode(frame(ethernet6+ip6+tcp+"000102030405060708090a0b"), true)
	assert.True(t, ok)
	assert.Equal(t, packet{Port: 12345, Out: true, IP: 84, Ethernet: 98, Payload: 12}, p)

	for _, s := range []string{"", ethernet4, ethernet4 + ip4, ethernet6 + ip6, ethernet4 + ip4[:18] + "11" + ip4[20:] + tcp, "ffffffffffff0200000000010806" + ip4 + tcp} {
		_, ok := decode(frame(s), true)
		assert.False(t, ok, s)
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 66+24, packet{Ethernet: 66}.wire())
	assert.Equal(t, 60+24, packet{Ethernet: 54}.wire(), "padded")
}

// TestCommonest: what comes once, or is cut off, is not taken for the rule.
func TestCommonest(t *testing.T) {
	t.Parallel()
	at := func(ms int, out bool, ip int) packet {
		return packet{At: time.Duration(ms) * time.Millisecond, Out: out, IP: ip, Ethernet: ip + 14}
	}
	e, err := commonest("ping", []packet{
		at(0, true, 52), at(1, false, 52), at(2, true, 60), // something else
		at(1000, true, 52), at(1001, false, 52),
		at(2000, true, 52), at(2001, false, 52),
		at(3000, true, 52),
	}, 300*time.Millisecond)
	require.NoError(t, err)
	assert.Equal(t, "→ 52, ← 52", e.shape())
	assert.Equal(t, 2, e.Seen)
	assert.Equal(t, 132, e.ethernet())

	_, err = commonest("ping", []packet{at(0, true, 52)}, time.Second)
	assert.ErrorContains(t, err, "ping")
	_, err = commonest("ping", nil, time.Second)
	assert.Error(t, err)
}

// TestTraffic: probe and answer on a real link are what KeepOpen's documentation
// counts on.
func TestTraffic(t *testing.T) {
	t.Parallel()
	all, err := capture()
	mustHave(t, err)
	shapes := map[string]string{}
	for _, e := range all {
		shapes[e.What] = e.shape()
	}
	assert.Equal(t, "→ 52, ← 52", shapes["keepalive probe, IPv4"])
	assert.Equal(t, "→ 40, ← 40", shapes["keepalive probe, IPv4, no timestamps"])
	assert.Equal(t, "→ 72, ← 72", shapes["keepalive probe, IPv6"])
	assert.Equal(t, "→ 60, ← 60", shapes["keepalive probe, IPv6, no timestamps"])
	assert.Equal(t, "→ 64, ← 64, → 52", shapes[yamuxPing])
	assert.Equal(t, "→ 60, ← 60, → 52", shapes[heartbeatPing])
}

// mustHave skips the test when what it takes is not on this machine.
func mustHave(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errAbsent) {
		t.Skipf("not supported here: %v", err)
	}
	require.NoError(t, err)
}

func TestCallOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`1234  setsockopt(3, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0`: "setsockopt",
		`1234 close(3)                     = 0`:                     "close",
		`1234  accept4(4, <unfinished ...>`:                         "accept4",
		`1234  <... accept4 resumed>{sa_family=AF_INET}) = 5`:       "",
		`1234  +++ exited with 0 +++`:                               "",
		`1234  --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---`:  "",
		``: "",
	} {
		assert.Equal(t, want, callOf(line), line)
	}
}

// TestCountCalls: the keepalive of net costs four calls on each side, ours none
// on what is accepted.
func TestCountCalls(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("not supported here: %v", err)
	}
	const n = 20
	count := func(dial, accept string) int {
		seen, err := underStrace(strace, dial, accept, n)
		mustHave(t, err)
		assert.GreaterOrEqual(t, seen["connect"], n)
		return seen["setsockopt"]
	}
	floor := count(none, none)
	assert.Equal(t, 4*n, count(nets, none)-floor)
	assert.Equal(t, 4*n, count(ours, none)-floor)
	assert.Equal(t, 4*n, count(none, nets)-floor)
	assert.Equal(t, 4, count(none, ours)-floor, "the listener's own")
}

// TestDie: one setting, on a real kernel.
func TestDie(t *testing.T) {
	t.Parallel()
	c := trials()[0]
	took, err := c.die()
	testpeer.Need(t, err)
	assert.GreaterOrEqual(t, took, c.promised)
	assert.LessOrEqual(t, took, c.allowed())
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

// TestWatch: each way pings each peer once in an interval.
func TestWatch(t *testing.T) {
	t.Parallel()
	if _, err := processorTime(); errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("not supported here: %v", err)
	}
	var names []string
	for _, k := range keepers {
		names = append(names, k.name)
	}
	const peers, every, windows, length = 100, 200 * time.Millisecond, 4, 400 * time.Millisecond
	seen, err := watchAll(names, peers, every, windows, length)
	require.NoError(t, err)
	for name, w := range seen {
		assert.Len(t, w.CPU, windows)
		assert.Len(t, w.Pings, windows)
		assert.InEpsilon(t, peers/every.Seconds(), quantile(w.Pings, 0.5), 0.3, name)
		assert.Greater(t, w.Bytes, 0.0, name)
		assert.Greater(t, quantile(w.CPU, 0.5), 0.0, name)
	}
	_, err = watchAll([]string{"nobody"}, 1, every, windows, length)
	assert.ErrorContains(t, err, "nobody")
}

func TestThatFit(t *testing.T) {
	t.Parallel()
	fit, left := thatFit(1000, 3000, map[string]need{array: {memory: 1.5}, ticker: {memory: 1}, wrapped: {cores: 0.002}})
	assert.Equal(t, []string{array, monitor, timer, session}, fit)
	require.Len(t, left, 2)
	assert.Equal(t, ticker, left[0].name)
	assert.ErrorContains(t, left[0].err, "1 kB of memory", "500 bytes are left of 2000")
	assert.Equal(t, wrapped, left[1].name)
	assert.ErrorContains(t, left[1].err, "200 % of a core")
}

// TestPipes: each moves all that is written, with writes of any size.
func TestPipes(t *testing.T) {
	t.Parallel()
	l := &lab{short: true, effort: 1, out: io.Discard}
	for _, size := range []int{1, 512, 100_000} {
		seen, err := throughputOf(l, size, 4*streams, 3)
		require.NoError(t, err)
		assert.Len(t, seen, len(pipes))
	}
}
