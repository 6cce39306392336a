package keepalive_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/realtime"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onLinux skips the test where the settings are not made by Linux's rules, as
// the peers die on Linux.
func onLinux(t *testing.T) {
	t.Helper()
	if keepalive.IgnoresUserTimeout() {
		t.Skipf("not supported here: %s has rules of its own", keepalive.HostName())
	}
}

// TestDetectWithin keeps the promise on the live kernel.
func TestDetectWithin(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for _, d := range []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 8 * time.Second} {
		o := keepalive.DetectWithin(d)
		require.NoError(t, o.Validate())
		require.LessOrEqual(t, o.DetectionTime(), d)
		require.GreaterOrEqual(t, o.DetectionTime(), d*3/4)
		if d >= 3*time.Second {
			require.Greater(t, o.Count, 1)
		}
		for _, unacked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v,unacked=%v", d, unacked), realtime.Test(func(t testing.TB) {
				conn, far := testpeer.New(t, "tcp")
				require.NoError(t, keepalive.Enable(conn, o))
				exchange(t, conn, far)
				testpeer.SkipIfUnsupported(t, far.Deaf())
				start := time.Now()
				if unacked {
					_, err := conn.Write([]byte{1})
					require.NoError(t, err)
				}
				conn.SetReadDeadline(start.Add(2 * d))
				_, err := conn.Read(make([]byte, 1))
				took := time.Since(start)
				require.Truef(t, dead(err), "%v", err)
				t.Logf("within %v: noticed after %v", d, took.Round(time.Millisecond))
				if d >= 4*time.Second {
					assert.LessOrEqual(t, took, d, "late timers have their room")
				}
				assert.LessOrEqual(t, took, d+d/20+500*time.Millisecond)
				assert.Greater(t, took, d/2)
			}))
		}
		if d >= 3*time.Second {
			t.Run(fmt.Sprintf("%v,one probe lost", d), realtime.Test(func(t testing.TB) {
				conn, far := testpeer.New(t, "tcp")
				require.NoError(t, keepalive.Enable(conn, o))
				exchange(t, conn, far)
				testpeer.SkipIfUnsupported(t, far.Deaf())
				silent := func(d time.Duration) {
					conn.SetReadDeadline(time.Now().Add(d))
					_, err := conn.Read(make([]byte, 1))
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				}
				silent(o.Idle + o.Interval/2) // the first probe, and not the second
				require.NoError(t, far.Hear())
				silent(d)
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				exchange(t, conn, far)
			}))
		}
	}
}

func TestSystemDefaults(t *testing.T) {
	t.Parallel()
	o, err := keepalive.SystemDefaults()
	testpeer.SkipIfUnsupported(t, err)
	assert.True(t, o.Disabled)
	assert.GreaterOrEqual(t, o.Idle, time.Minute)
	conn, _ := testpeer.New(t, "tcp")
	fresh, err := keepalive.Get(conn)
	if err == nil {
		assert.Equal(t, fresh, o)
	} else {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
}
