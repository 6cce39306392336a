package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/bench/guide/internal/capture"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

func TestProbe(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		o := keepalive.Options{Idle: 3 * time.Second, Interval: time.Second, Count: 3}
		r, err := probeAll(o)
		need(t, err)
		for name, p := range map[string]*probing{"router": r.router, "NAT": r.nat, "proxy": r.proxy} {
			assert.EqualValues(t, 1, p.reads, "%s: the program at the server has seen the data only", name)
			assert.True(t, p.blocked, name)
			relative := capture.Relative(p.packets)
			for i, q := range p.packets {
				switch q {
				case p.atClient[0].probe:
					assert.Equal(t, "ACK seq 5 ack 6 len 0", text(relative[i]), name)
					assert.GreaterOrEqual(t, q.Time.Sub(p.packets[i-1].Time), o.Idle-20*time.Millisecond, name)
				case p.atClient[0].answer:
					assert.Equal(t, "ACK seq 6 ack 6 len 0", text(relative[i]), name)
				}
			}
			assert.Equal(t, 52, p.atClient[0].probe.IP, name)
			assert.Equal(t, 66, p.atClient[0].answer.Frame, name)
		}
		changed := func(c, s capture.Packet) (names []string) {
			a, b := fields(c), fields(s)
			for i, name := range fieldNames {
				if a[i] != b[i] {
					names = append(names, name)
				}
			}
			return names
		}
		for _, p := range []*probing{r.router, r.nat} {
			assert.Equal(t, 64, p.atClient[0].probe.TTL)
			assert.Equal(t, 63, p.atServer[0].probe.TTL)
		}
		assert.Equal(t, []string{"TTL"}, changed(r.router.atClient[0].probe, r.router.atServer[0].probe))
		assert.Equal(t, []string{"TTL"}, changed(r.router.atClient[0].answer, r.router.atServer[0].answer))
		assert.Equal(t, []string{"source", "TTL"}, changed(r.nat.atClient[0].probe, r.nat.atServer[0].probe))
		assert.Equal(t, []string{"destination", "TTL"}, changed(r.nat.atClient[0].answer, r.nat.atServer[0].answer))
		assert.LessOrEqual(t, r.nat.natBefore, natEntryTimeout-o.Idle+time.Second)
		assert.GreaterOrEqual(t, r.nat.natAfter, natEntryTimeout-time.Second)

		assert.Len(t, r.proxy.atClient, probesOfProxy)
		assert.Zero(t, r.proxy.serverPackets)
		for _, e := range r.proxy.atClient {
			assert.Equal(t, insideAddr, e.answer.Src.Addr())
		}

		var out strings.Builder
		printProbes(&out, o, r)
		checkWidth(t, out.String())
	})(t)
}

// checkWidth checks that a result fits into 80 columns, and has no space at the end of lines.
func checkWidth(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		assert.LessOrEqual(t, len(line), 80, line)
		assert.Equal(t, strings.TrimRight(line, " "), line)
	}
}
