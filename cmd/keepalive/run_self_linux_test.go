package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
)

// programVariable makes the test binary a program that writes the options of its connections.
const programVariable = "KEEPALIVE_TEST_PROGRAM"

func init() {
	if os.Getenv(programVariable) == "" || os.Args[0] == "keepalive" {
		return
	}
	if err := writeOptions(); err != nil {
		fmt.Println(err)
	}
	os.Exit(0)
}

func writeOptions() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	dialed, err := net.Dial("tcp", l.Addr().String()) // sets 15s, 15s and 9
	if err != nil {
		return err
	}
	accepted, err := l.Accept()
	if err != nil {
		return err
	}
	for _, conn := range []net.Conn{dialed, accepted} {
		o, err := keepalive.Get(conn)
		if err != nil {
			return err
		}
		fmt.Println(o)
	}
	return nil
}

// This test needs no other program, so that it runs on any kernel.
func TestRunItself(t *testing.T) {
	const options = "idle=46s,interval=5s,count=3,user-timeout=1m"
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"keepalive", "run", "--mechanism=seccomp", options, "/proc/self/exe"}}
	cmd.Env = append(os.Environ(), programVariable+"=1")
	stdout, stderr, status := output(t, cmd)
	require.Zero(t, status, stderr)
	assert.Equal(t, options+"\n"+options+"\n", stdout)
	assert.Eventually(t, func() bool { return len(supervisors(t, options)) == 0 }, time.Minute, time.Millisecond, "the supervisor must end")
}
