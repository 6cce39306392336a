package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

// shortSettings makes the experiment short. Probes begin long before the NAT's timeout.
var shortSettings = settings{
	keepalive:   keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 3},
	userTimeout: 4500 * time.Millisecond,
	heartbeat:   time.Second,
	natTimeout:  4 * time.Second,
	wait:        7 * time.Second,
}

// wantSeen has, for each way and each remedy, what is seen on an idle connection and after
// Write: an error and its time in seconds, "none", or "answer".
var wantSeen = map[string]map[string][2]string{
	"killed": {
		"no setting":   {"EOF 0", "EOF 0"},
		"keepalive":    {"EOF 0", "EOF 0"},
		"user timeout": {"EOF 0", "EOF 0"},
		"both":         {"EOF 0", "EOF 0"},
		"heartbeat":    {"ErrUnexpectedEOF 0", "ErrUnexpectedEOF 0"},
	},
	"a. crash":   silentLoss,
	"   restart": silentLoss,
	"b. reboot": {
		"no setting":   {"none", "ECONNRESET 0"},
		"keepalive":    {"ECONNRESET 1", "ECONNRESET 0"},
		"user timeout": {"none", "ECONNRESET 0"},
		"both":         {"ECONNRESET 1", "ECONNRESET 0"},
		"heartbeat":    {"ECONNRESET 1", "ECONNRESET 0"},
	},
	"c. NAT, idle": {
		"no setting":   {"none", "none"},
		"keepalive":    {"answer", "answer"},
		"user timeout": {"none", "ETIMEDOUT 4.5"},
		"both":         {"answer", "answer"},
		"heartbeat":    {"answer", "answer"},
	},
	"   with RST": {
		"no setting":   {"none", "ECONNRESET 0"},
		"keepalive":    {"answer", "answer"},
		"user timeout": {"none", "ECONNRESET 0"},
		"both":         {"answer", "answer"},
		"heartbeat":    {"answer", "answer"},
	},
	"   loose": {
		"no setting":   {"answer", "answer"},
		"keepalive":    {"answer", "answer"},
		"user timeout": {"answer", "answer"},
		"both":         {"answer", "answer"},
		"heartbeat":    {"answer", "answer"},
	},
	"d. unreachable": {
		"no setting":   {"none", "none"},
		"keepalive":    {"ETIMEDOUT 4", "none"},
		"user timeout": {"none", "EHOSTUNREACH 4.5"},
		"both":         {"ETIMEDOUT 4.5", "EHOSTUNREACH 4.5"},
		"heartbeat":    {"DeadError 3", "DeadError 3"},
	},
	"e. hang": applicationGone,
	"   sending": {
		"no setting":   {"none", "none"},
		"keepalive":    {"none", "none"},
		"user timeout": {"none", "ETIMEDOUT 4.5"},
		"both":         {"none", "ETIMEDOUT 4.5"},
		"heartbeat":    {"DeadError 3", "DeadError 3"},
	},
	"f. proxy":       applicationGone,
	"g. own address": silentLoss,
}

// silentLoss is seen if nothing answers. With both settings, the connection is dropped at the
// first probe that is due after 4.5s. That is after 5s, or after 4.5s if the timer is late.
var silentLoss = map[string][2]string{
	"no setting":   {"none", "none"},
	"keepalive":    {"ETIMEDOUT 4", "none"},
	"user timeout": {"none", "ETIMEDOUT 4.5"},
	"both":         {"ETIMEDOUT 4.5", "ETIMEDOUT 4.5"},
	"heartbeat":    {"DeadError 3", "DeadError 3"},
}

// applicationGone is seen if a kernel or a proxy still answers.
var applicationGone = map[string][2]string{
	"no setting":   {"none", "none"},
	"keepalive":    {"none", "none"},
	"user timeout": {"none", "none"},
	"both":         {"none", "none"},
	"heartbeat":    {"DeadError 3", "DeadError 3"},
}

func TestDisappear(t *testing.T) {
	t.Parallel()
	for i, w := range shortSettings.ways() {
		t.Run(w.name, realtime.Test(func(t testing.TB) {
			w := shortSettings.ways()[i]
			rows, err := shortSettings.observe(w, func(string, ...any) {})
			need(t, err)
			want := wantSeen[w.name]
			for _, r := range rows {
				name := r.remedy.name
				if name == linuxDefaults {
					name = "no setting" // for two hours
				}
				if assert.Contains(t, want, name) {
					checkOutcome(t, r.remedy.name+", idle", want[name][0], r.idle)
					checkOutcome(t, r.remedy.name+", written", want[name][1], r.written)
				}
			}
		}))
	}
}

// checkOutcome checks an error and its time. Timers of the kernel can be late by 1/8, and
// with data in flight by two retransmission timeouts more.
func checkOutcome(t testing.TB, what, want string, o outcome) {
	t.Helper()
	t.Logf("%s: %v", what, o)
	switch want {
	case "none":
		assert.NoError(t, o.err, what)
		assert.False(t, o.answered || o.works, "%s: the peer answers", what)
		return
	case "answer":
		assert.NoError(t, o.err, what)
		assert.True(t, o.answered || o.works, "%s: the peer does not answer", what)
		return
	}
	var name string
	var seconds float64
	_, err := fmt.Sscan(want, &name, &seconds)
	assert.NoError(t, err)
	if !assert.Error(t, o.err, what) {
		return
	}
	assert.Equal(t, name, errorName(o.err), what)
	if what != "heartbeat, written" { // a heartbeat counts from the last answer, and not from Write
		assert.GreaterOrEqual(t, o.after.Seconds(), seconds-0.02, what)
	}
	assert.LessOrEqual(t, o.after.Seconds(), seconds*1.125+2, what)
}

// TestPrintDisappear: the result fits into 80 columns, also with times of hours.
func TestPrintDisappear(t *testing.T) {
	t.Parallel()
	var seen [][]row
	for range shortSettings.ways() {
		var rows []row
		for _, r := range shortSettings.remedies() {
			idle, written := outcome{err: unix.ETIMEDOUT, after: 5 * time.Second}, outcome{err: unix.EHOSTUNREACH, after: 1000 * time.Second}
			if r.name == linuxDefaults {
				idle.after = 8000 * time.Second
			}
			rows = append(rows, row{r, idle, written})
		}
		seen = append(seen, rows)
	}
	var out strings.Builder
	s := shortSettings
	s.wait = 140 * time.Minute
	s.print(&out, s.ways(), seen)
	checkWidth(t, out.String())
	assert.Contains(t, out.String(), "2h13m20s ETIMEDOUT, dead     16m40s EHOSTUNREACH, unreachable\n")
}
