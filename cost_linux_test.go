package keepalive_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var typical = keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}

var typicalError error = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", unix.ETIMEDOUT)}

func TestNoAllocation(t *testing.T) {
	tcp, _ := testpeer.New(t, "tcp")
	var conn net.Conn = tcp
	require.Zero(t, testing.AllocsPerRun(1000, func() { keepalive.Enable(conn, typical) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { keepalive.Get(conn) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { keepalive.Diagnose(typicalError) }))
	_, err := keepalive.Inspect(conn)
	testpeer.SkipIfUnsupported(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { keepalive.Inspect(conn) }))
}
