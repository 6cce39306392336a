package keepalive

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestListenConfigOfFakeSystems: which way is taken where accepted sockets
// do not inherit, or a listener is not safe with keepalive.
func TestListenConfigOfFakeSystems(t *testing.T) {
	t.Parallel()
	o := Options{Idle: 45 * time.Second, Interval: 15 * time.Second}
	each := net.KeepAliveConfig{Enable: true, Idle: o.Idle, Interval: o.Interval, Count: -1}
	for name, c := range map[string]struct {
		inherited []field // and the switch, unless it is empty
		o         Options
		listener  bool
		each      net.KeepAliveConfig
	}{
		"all (Linux)":                    {[]field{idle, interval, count, userTimeout}, o, true, net.KeepAliveConfig{}},
		"all, off":                       {[]field{idle, interval, count, userTimeout}, Options{Disabled: true}, true, net.KeepAliveConfig{}},
		"all but idle":                   {[]field{interval, count}, o, false, each},
		"all but idle, not asked for":    {[]field{interval, count}, Options{Interval: 15 * time.Second}, true, net.KeepAliveConfig{}},
		"nothing, or dangerous":          {nil, o, false, each},
		"nothing, or dangerous; on":      {nil, Options{}, false, net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
		"nothing, or dangerous; off":     {nil, Options{Idle: 45 * time.Second, Disabled: true}, false, net.KeepAliveConfig{}},
		"nothing, or dangerous; count":   {nil, Options{Count: 3}, false, net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: 3}},
		"all but the user timeout":       {[]field{idle, interval, count}, Options{Idle: 45 * time.Second, UserTimeout: time.Minute}, false, net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: -1, Count: -1}},
		"half-seconds":                   {nil, Options{Idle: 45 * time.Second, Interval: 1}, false, net.KeepAliveConfig{Enable: true, Idle: 90 * time.Second, Interval: time.Second, Count: -1}},
		"all but a user timeout of none": {[]field{idle, interval, count}, Options{Idle: 45 * time.Second, UserTimeout: NoUserTimeout}, false, net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: -1, Count: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			p, k := fake(time.Second, time.Second)
			if name == "half-seconds" { // NetBSD, whose unit package net takes for a second
				p.opts[idle].unit, p.opts[interval].unit = time.Second/2, time.Second/2
			}
			p.opts[keepAlive].inherited = c.inherited != nil
			for _, i := range c.inherited {
				p.opts[i].inherited = true
			}
			lc := p.listenConfig(nil, c.o)
			assert.Equal(t, c.each, lc.KeepAliveConfig)
			assert.Negative(t, lc.KeepAlive)
			require.NoError(t, lc.Control("tcp4", "", rawConn{}))
			assert.Equal(t, c.listener, len(k.calls) > 0, "the listener was touched")
			require.NoError(t, lc.Control("unix", "", nil))
			require.Error(t, p.listenConfig(nil, Options{Count: -1}).Control("tcp4", "", rawConn{}))
		})
	}
	old, _ := fakeWindows(true)
	old = old.variantOf(7)
	for _, c := range []struct {
		o    Options
		want net.KeepAliveConfig
	}{
		{Options{}, net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
		{Options{Interval: 5 * time.Second, Count: 3}, net.KeepAliveConfig{Enable: true, Idle: 2 * time.Hour, Interval: 5 * time.Second, Count: -1}},
		{Options{Idle: 45 * time.Second}, net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: time.Second, Count: -1}},
	} {
		assert.Equal(t, c.want, old.listenConfig(nil, c.o).KeepAliveConfig, "Windows before 1709")
	}
	lc := (&platform{name: "fakeos"}).listenConfig(nil, o)
	require.NoError(t, lc.Control("tcp4", "", rawConn{}))
}
