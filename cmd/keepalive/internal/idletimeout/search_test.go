package idletimeout

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var usual = Limits{Max: 20 * time.Minute, Connections: 32}

// runs is the number of simulated runs in each test. They are not parallel, so that they do
// not disturb the tests that measure real time.
func runs() int {
	if n, err := strconv.Atoi(os.Getenv("KEEPALIVE_SIMULATIONS")); err == nil {
		return n
	}
	return 10
}

// TestTimeouts: any timeout is found, silent and with RST, with loss, at any distance.
func TestTimeouts(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.02} {
		for _, reset := range []bool{false, true} {
			for _, rtt := range []time.Duration{time.Millisecond, 200 * time.Millisecond} {
				t.Run(fmt.Sprintf("loss=%v,reset=%v,rtt=%v", loss, reset, rtt), func(t *testing.T) {
					worst, sum, wide, most := 0.0, 0.0, 0, 0
					for seed := range runs() {
						rnd := rand.New(rand.NewPCG(uint64(seed), 1))
						timeout := time.Duration(3e9 * math.Pow(200, rnd.Float64()))
						if rnd.IntN(2) == 0 {
							timeout = timeout.Truncate(time.Second)
						}
						p := path{timeout: timeout, reset: reset, loss: loss, rtt: rtt}
						r, s := simulate(p, usual, uint64(seed))
						verdict := Drops
						if reset {
							verdict = Resets
						}
						if loss == 0 || !reset {
							assert.Equal(t, verdict, r.Verdict, "%v seed %d", timeout, seed)
						}
						assert.LessOrEqual(t, r.Lower, timeout, "seed %d", seed)
						assert.GreaterOrEqual(t, r.Upper, timeout, "seed %d", seed)
						if r.Upper-r.Lower > max(time.Second, timeout/50) {
							wide++
						}
						took := s.now.Seconds() / timeout.Seconds()
						if timeout >= 5*time.Second {
							worst = max(worst, took)
							sum += took
						}
						most = max(most, s.most)
					}
					t.Logf("time/timeout: worst %.2f, mean %.2f; wide %d; connections %d", worst, sum/float64(runs()), wide, most)
					assert.LessOrEqual(t, most, usual.Connections+1)
					if rtt < 100*time.Millisecond {
						assert.Zero(t, wide)
						if loss == 0 {
							assert.LessOrEqual(t, worst, 2.5)
						}
					}
				})
			}
		}
	}
}

// minute has the measurement take less time where no timeout is found.
var minute = Limits{Max: time.Minute, Connections: 32}

func TestVerdicts(t *testing.T) {
	for name, test := range map[string]struct {
		path
		verdict Verdict
		check   func(t *testing.T, r Result, took time.Duration)
	}{
		"no timeout": {path{}, Open, func(t *testing.T, r Result, took time.Duration) {
			assert.GreaterOrEqual(t, r.Lower, time.Minute)
			assert.Zero(t, r.Upper)
			assert.Less(t, took, 63*time.Second)
		}},
		"the path drops everything at once": {path{timeout: time.Millisecond}, NoAnswer, nil},
		"the server ignores probes":         {path{silent: true}, NoAnswer, nil},
		"the server closes": {path{closeAfter: 20 * time.Second}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 20, r.Closed.After.Seconds(), 0.5)
			assert.Less(t, r.Lower, 20*time.Second)
			assert.Greater(t, r.Lower, 16*time.Second)
			assert.Zero(t, r.Upper)
			assert.False(t, r.Reopened)
			assert.Less(t, took, 30*time.Second)
		}},
		"the server closes with binary data": {path{closeAfter: 6 * time.Second, goodbye: true}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 6, r.Closed.After.Seconds(), 0.5)
			assert.Zero(t, r.Refused)
		}},
		"the server closes with jitter": {path{closeAfter: 8 * time.Second, closeJitter: 1200 * time.Millisecond}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 8.6, r.Closed.After.Seconds(), 0.7)
			assert.False(t, r.Reopened)
		}},
		"the server closes with much jitter": {path{closeAfter: 8 * time.Second, closeJitter: 2 * time.Second}, ServerCloses, nil},
		"the server closes, with loss": {path{closeAfter: 8 * time.Second, loss: 0.01}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 8, r.Closed.After.Seconds(), 1)
			assert.False(t, r.Reopened)
		}},
		"the server is restarted": {path{restart: 8 * time.Second}, Open, func(t *testing.T, r Result, took time.Duration) {
			assert.Equal(t, 1, r.Restarts)
		}},
		"the server is restarted, and closes": {path{closeAfter: 12 * time.Second, restart: 8 * time.Second}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 12, r.Closed.After.Seconds(), 0.5)
			assert.Equal(t, 1, r.Restarts)
		}},
		"the server closes very early": {path{closeAfter: 100 * time.Millisecond}, ServerCloses, nil},
		"the server closes after a second": {path{closeAfter: 1200 * time.Millisecond}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 1.2, r.Closed.After.Seconds(), 0.1)
		}},
		"the server closes later than the path": {path{timeout: 10 * time.Second, closeAfter: 20 * time.Second}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 10*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 10*time.Second)
		}},
		"the server closes, after the path has dropped, which is loose": {path{timeout: 5 * time.Second, loose: true, closeAfter: 13 * time.Second}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 13, r.Closed.After.Seconds(), 0.5)
			assert.True(t, r.Reopened)
		}},
		"a loose path": {path{timeout: 5 * time.Second, loose: true}, Open, nil},
		"the path closes with FIN": {path{timeout: 20 * time.Second, closes: true}, Closes, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 20*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 20*time.Second)
			assert.Less(t, r.Upper-r.Lower, time.Second)
			assert.False(t, r.Closed.Reset)
		}},
		"the path closes with RST": {path{timeout: 20 * time.Second, closes: true, reset: true}, Closes, func(t *testing.T, r Result, took time.Duration) {
			assert.True(t, r.Closed.Reset)
		}},
		"the server probes": {path{serverIdle: 10 * time.Second, serverIntvl: 5 * time.Second}, ServerProbes, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 10, r.Every.Seconds(), 0.2)
			assert.Greater(t, r.Lower, 8*time.Second)
			assert.Less(t, r.Lower, 15*time.Second)
			assert.False(t, r.Data)
		}},
		"the server sends data all the time": {path{chatter: 500 * time.Millisecond, loss: 0.01}, ServerProbes, func(t *testing.T, r Result, took time.Duration) {
			assert.True(t, r.Data)
			assert.Less(t, took, 20*time.Second)
		}},
		"the server sends two messages": {path{timeout: 12 * time.Second, greeting: 2 * time.Second, second: true}, Drops, nil},
		"a Go server probes": {path{serverIdle: 2 * time.Second, serverIntvl: 15 * time.Second}, ServerProbes, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 15, r.Every.Seconds(), 0.2)
			assert.Greater(t, r.Lower, 11*time.Second)
		}},
		"the server probes too late": {path{timeout: 12 * time.Second, serverIdle: 15 * time.Second, serverIntvl: 15 * time.Second}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 12*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 12*time.Second)
		}},
		"the server accepts few connections": {path{timeout: 12 * time.Second, maxConns: 10}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 12*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 12*time.Second)
			assert.GreaterOrEqual(t, r.Refused, 15)
		}},
		"the server accepts fewer connections than are needed later": {path{timeout: 40 * time.Second, maxConns: 33, closeAfter: 50 * time.Second}, Drops, nil},
		"a greeting": {path{timeout: 12 * time.Second, greeting: 2 * time.Second}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 12*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 12*time.Second)
		}},
		"the network is down": {path{timeout: 30 * time.Second, down: [2]time.Duration{10 * time.Second, 20 * time.Second}}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 30*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 30*time.Second)
			assert.Equal(t, 1, r.Outages)
		}},
		"the network is down when the server closes": {path{closeAfter: 8 * time.Second, down: [2]time.Duration{5 * time.Second, 12 * time.Second}}, ServerCloses, func(t *testing.T, r Result, took time.Duration) {
			assert.InDelta(t, 8, r.Closed.After.Seconds(), 0.5)
		}},
		"the network is down for longer than the timeout": {path{timeout: 5 * time.Second, down: [2]time.Duration{4 * time.Second, 50 * time.Second}}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 5*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 5*time.Second)
		}},
		"the network is down for longer than the longest time": {path{timeout: 5 * time.Second, down: [2]time.Duration{4 * time.Second, 100 * time.Second}}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.LessOrEqual(t, r.Lower, 5*time.Second)
			assert.GreaterOrEqual(t, r.Upper, 5*time.Second)
		}},
		"the network is down for good": {path{timeout: 5 * time.Second, down: [2]time.Duration{3 * time.Second, time.Hour}}, Unfinished, nil},
		"the timeout differs between connections": {path{timeout: 20 * time.Second, jitter: 3 * time.Second}, Drops, func(t *testing.T, r Result, took time.Duration) {
			assert.Less(t, r.Lower, 23*time.Second)
			assert.Greater(t, r.Upper, 20*time.Second)
		}},
		"the timeout is just below the longest time": {path{timeout: 59 * time.Second}, Drops, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.tick = 50 * time.Millisecond // a slow machine
			for seed := range runs() {
				r, s := simulate(test.path, minute, uint64(seed))
				assert.Equal(t, test.verdict, r.Verdict, "seed %d: %+v", seed, r)
				if test.check != nil && test.verdict == r.Verdict {
					test.check(t, r, s.now)
				}
				if t.Failed() {
					t.Fatalf("seed %d: %+v after %v", seed, r, s.now)
				}
			}
		})
	}
}

func TestPrecision(t *testing.T) {
	r, s := simulate(path{timeout: 200 * time.Second}, Limits{Max: 20 * time.Minute, Precision: 30 * time.Second, Connections: 32}, 1)
	assert.Equal(t, Drops, r.Verdict)
	assert.LessOrEqual(t, r.Upper-r.Lower, 30*time.Second)
	assert.LessOrEqual(t, s.now, 240*time.Second)
}

// TestShort: a search with fewer rungs than connections.
func TestShort(t *testing.T) {
	for _, limit := range []time.Duration{2 * time.Second, 4 * time.Second, 10 * time.Second} {
		r, s := simulate(path{}, Limits{Max: limit, Connections: 32}, 1)
		assert.Equal(t, Open, r.Verdict)
		assert.InDelta(t, limit.Seconds(), r.Lower.Seconds(), 0.1)
		assert.Less(t, s.now, limit+time.Second)
	}
}

func TestFewConnections(t *testing.T) {
	for seed := range runs() {
		r, s := simulate(path{timeout: 47 * time.Second, loss: 0.01}, Limits{Max: 20 * time.Minute, Connections: 8}, uint64(seed))
		assert.Equal(t, Drops, r.Verdict)
		assert.LessOrEqual(t, r.Lower, 47*time.Second)
		assert.GreaterOrEqual(t, r.Upper, 47*time.Second)
		assert.LessOrEqual(t, s.most, 9)
	}
}

func TestLadder(t *testing.T) {
	for _, limit := range []time.Duration{2 * time.Second, time.Minute, 20 * time.Minute, 7 * 24 * time.Hour} {
		for _, n := range []int{16, 64, 512} {
			rungs := ladder(limit, n)
			assert.LessOrEqual(t, len(rungs), n)
			assert.Equal(t, limit, rungs[len(rungs)-1])
			for i := 1; i < len(rungs)-1; i++ {
				assert.GreaterOrEqual(t, rungs[i]-rungs[i-1], rungStep)
			}
		}
	}
}

func TestDivide(t *testing.T) {
	assert.Equal(t, []time.Duration{4, 2, 6, 1, 3, 5, 7}, divide(0, 8, 7))
	assert.Empty(t, divide(0, 8, 0))
}
