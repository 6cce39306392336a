package idletimeout

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
	"github.com/go-keepalive/keepalive/internal/realtime"
)

// childEnv is the environment variable with what this binary is to do instead of tests, in a
// network namespace.
const childEnv = "KEEPALIVE_PATH_CHILD"

func TestMain(m *testing.M) {
	var child childTask
	if text := os.Getenv(childEnv); text == "" {
		flag.Set("test.parallel", "32") // the tests only wait
		os.Exit(m.Run())
	} else if err := json.Unmarshal([]byte(text), &child); err != nil {
		panic(err)
	}
	if child.Measure == "" {
		serve(child)
	}
	result, err := Measure(context.Background(), Config{Address: child.Measure, Limits: Limits{Max: child.Max, Connections: 32}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(result)
	os.Exit(0)
}

// childTask is to measure the path to an address, or to be a server.
type childTask struct {
	Measure    string
	Max        time.Duration
	CloseAfter time.Duration // the server closes connections at that age
	KeepAlive  time.Duration // the server's own keepalive
}

// serve is a server that sends nothing. It ends when its standard input does.
func serve(task childTask) {
	config := net.ListenConfig{KeepAlive: -1}
	if task.KeepAlive > 0 {
		config.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: task.KeepAlive, Interval: task.KeepAlive}
	}
	listener, err := config.Listen(context.Background(), "tcp", ":7000")
	if err != nil {
		panic(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	panic(acceptAll(listener, task.CloseAfter))
}

// acceptAll closes connections when the client does, or after a time that is not 0.
func acceptAll(listener net.Listener, closeAfter time.Duration) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			if closeAfter > 0 {
				conn.SetReadDeadline(time.Now().Add(closeAfter))
			}
			io.Copy(io.Discard, conn)
			conn.Close()
		}()
	}
}

// needProgram returns the path of a program. Some folders are not in the PATH of every user.
func needProgram(t testing.TB, name string) string {
	t.Helper()
	return programtest.Need(t, name, "/usr/sbin/"+name, "/sbin/"+name)
}

func command(t testing.TB, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(needProgram(t, args[0]), args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%v: %s", args, out)
}

// lab has a client, a router with NAT, and a server, each in a network namespace.
type lab struct{ client, router, server string }

type labConfig struct {
	timeout time.Duration // of the NAT
	reset   bool          // the router answers with RST
	loose   bool          // the NAT accepts flows of the client that it does not know
	silent  bool          // to the server's segments of such flows, the router does not answer RST
	loss    bool          // of 2 % in each direction, half of it before the NAT
	server  childTask
}

var labs atomic.Int32

func newLab(t testing.TB, config labConfig) lab {
	programtest.NeedRoot(t)
	n := labs.Add(1)
	name := func(part string) string { return fmt.Sprintf("kap%s%d-%d", part, n, os.Getpid()) }
	l := lab{name("c"), name("r"), name("s")}
	for _, ns := range []string{l.client, l.router, l.server} {
		command(t, "", "ip", "netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		command(t, "", "ip", "-n", ns, "link", "set", "lo", "up")
	}
	link := func(ns, dev, address, peer string) {
		command(t, "", "ip", "link", "add", dev, "netns", ns, "type", "veth", "peer", "name", peer, "netns", l.router)
		command(t, "", "ip", "-n", ns, "addr", "add", address+".2/24", "dev", dev)
		command(t, "", "ip", "-n", l.router, "addr", "add", address+".1/24", "dev", peer)
		command(t, "", "ip", "-n", ns, "link", "set", dev, "up")
		command(t, "", "ip", "-n", l.router, "link", "set", peer, "up")
	}
	link(l.client, "c0", "10.0.1", "r0")
	link(l.server, "s0", "10.0.2", "r1")
	command(t, "", "ip", "-n", l.client, "route", "add", "default", "via", "10.0.1.1")
	l.rules(t, config)
	sysctl := func(name string, value any) {
		command(t, "", "ip", "netns", "exec", l.router, "sysctl", "-qw", fmt.Sprintf("%s=%v", name, value))
	}
	sysctl("net.ipv4.ip_forward", 1)
	// Loading a rule for connection tracking has made these appear.
	sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", int(config.timeout.Seconds()))
	loose := 0
	if config.loose {
		loose = 1
	}
	sysctl("net.netfilter.nf_conntrack_tcp_loose", loose)
	l.serve(t, config.server)
	return l
}

func (l lab) rules(t testing.TB, config labConfig) {
	unknown, accepted, loss, input := "drop", "tcp flags & (syn|ack) == syn", "", ""
	if config.reset {
		unknown = "reject with tcp reset"
	}
	if config.loose {
		accepted = `iifname "r0"`
	}
	if config.loss {
		loss = "numgen random mod 1000 < 10 drop"
	}
	if config.silent {
		input = `iifname "r1" drop`
	}
	command(t, fmt.Sprintf(`
table ip loss {
  chain before { type filter hook prerouting priority -300; policy accept;
    %[1]s
  }
  chain behind { type filter hook postrouting priority 300; policy accept;
    %[1]s
  }
}
table ip nat {
  chain post { type nat hook postrouting priority 100; policy accept;
    oifname "r1" masquerade
  }
}
table ip filter {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state new %[2]s accept
    %[3]s
  }
  chain input { type filter hook input priority 0; policy accept;
    %[4]s
  }
}`, loss, accepted, unknown, input), "ip", "netns", "exec", l.router, "nft", "-f", "-")
}

// down has the network down for some time.
func (l lab) down(t testing.TB, after, d time.Duration) {
	time.Sleep(after)
	command(t, "add chain ip loss outage { type filter hook prerouting priority -301; policy drop; }\n", "ip", "netns", "exec", l.router, "nft", "-f", "-")
	time.Sleep(d)
	command(t, "delete chain ip loss outage\n", "ip", "netns", "exec", l.router, "nft", "-f", "-")
}

// child is this binary in a namespace.
func child(t testing.TB, ns string, task childTask) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(task)
	require.NoError(t, err)
	cmd := exec.Command("ip", "netns", "exec", ns, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

func (l lab) serve(t testing.TB, task childTask) {
	cmd := child(t, l.server, task)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	_, err = io.ReadFull(stdout, make([]byte, len("ready\n")))
	require.NoError(t, err)
}

// measure returns the result and the time that it took.
func (l lab) measure(t testing.TB, limit time.Duration) (Result, time.Duration) {
	cmd := child(t, l.client, childTask{Measure: "10.0.2.2:7000", Max: limit})
	start := time.Now()
	out, err := cmd.Output()
	require.NoError(t, err)
	var r Result
	require.NoError(t, json.NewDecoder(bytes.NewReader(out)).Decode(&r))
	return r, time.Since(start)
}

// checkRange checks that a range is right, narrow, and was found fast, with some more width
// and time for a busy machine and lost packets.
func checkRange(t testing.TB, want Verdict, timeout time.Duration, r Result, took time.Duration) {
	t.Logf("%v: %s %v to %v after %v", timeout, r.Verdict, r.Lower, r.Upper, took.Round(time.Millisecond))
	assert.Equal(t, want, r.Verdict)
	assert.LessOrEqual(t, r.Lower, timeout)
	assert.GreaterOrEqual(t, r.Upper, timeout)
	assert.LessOrEqual(t, r.Upper-r.Lower, 3*time.Second/2)
	assert.LessOrEqual(t, took, 4*timeout)
}

// TestLab: the timeouts of a Linux router.
func TestLab(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{5 * time.Second, 12 * time.Second} {
		for _, reset := range []bool{false, true} {
			for _, loss := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v,reset=%v,loss=%v", timeout, reset, loss), realtime.Test(func(t testing.TB) {
					l := newLab(t, labConfig{timeout: timeout, reset: reset, loss: loss})
					r, took := l.measure(t, 20*time.Minute)
					verdict := Drops
					if reset {
						verdict = Resets
					}
					checkRange(t, verdict, timeout, r, took)
				}))
			}
		}
	}
}

// TestLabOutage: connections that are not answered while the network is down do not count.
func TestLabOutage(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		const timeout = 12 * time.Second
		l := newLab(t, labConfig{timeout: timeout})
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.down(t, 3500*time.Millisecond, 7*time.Second)
		}()
		r, took := l.measure(t, 20*time.Minute)
		<-done
		checkRange(t, Drops, timeout, r, took-7*time.Second)
		assert.Equal(t, 1, r.Outages)
	})(t)
}

// TestLabReopened: the NAT drops a connection silently, but lets the client's segments
// through. That shows when the server closes connections.
func TestLabReopened(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent=%v", silent), realtime.Test(func(t testing.TB) {
			l := newLab(t, labConfig{timeout: 3 * time.Second, loose: true, silent: silent, server: childTask{CloseAfter: 8 * time.Second}})
			r, _ := l.measure(t, 20*time.Minute)
			assert.Equal(t, ServerCloses, r.Verdict, "%+v", r)
			assert.True(t, r.Reopened)
			if assert.NotNil(t, r.Closed) {
				assert.InDelta(t, 8, r.Closed.After.Seconds(), 0.5)
			}
		}))
	}
}

// TestLabLoose: otherwise it does not show.
func TestLabLoose(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		l := newLab(t, labConfig{timeout: 3 * time.Second, loose: true})
		r, _ := l.measure(t, 8*time.Second)
		assert.Equal(t, Open, r.Verdict)
	})(t)
}

// TestLabServerProbes: the server's probes refresh the NAT, and show only in the number of
// segments.
func TestLabServerProbes(t *testing.T) {
	realtime.Test(func(t testing.TB) {
		l := newLab(t, labConfig{timeout: 12 * time.Second, server: childTask{KeepAlive: 4 * time.Second}})
		r, _ := l.measure(t, 20*time.Minute)
		assert.Equal(t, ServerProbes, r.Verdict, "%+v", r)
		assert.InDelta(t, 4, r.Every.Seconds(), 0.6)
		assert.Less(t, r.Lower, 5*time.Second)
		assert.Greater(t, r.Lower, 3*time.Second)
		assert.False(t, r.Data)
	})(t)
}

// syncBuffer is a buffer that a process can write to while a test reads.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
