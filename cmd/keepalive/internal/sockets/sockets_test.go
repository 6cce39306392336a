//go:build linux

package sockets

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

// TestListAgrees compares the options of 10,000 sockets with what the programs that own them
// read.
func TestListAgrees(t *testing.T) {
	const programs, each = 4, 2500 // within a limit of 4096 descriptors
	want := make(map[string]string)
	var pids []int
	for range programs {
		c := start(t, nil, "hold", strconv.Itoa(each))
		pids = append(pids, c.cmd.Process.Pid)
		for line := c.line(t); line != "ready"; line = c.line(t) {
			var r socketReport
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			want[r.Local+" "+r.Remote] = r.Options
		}
	}
	require.Len(t, want, programs*each)
	table, err := List(Filter{PIDs: pids, States: []State{Established}})
	require.NoError(t, err)
	require.Len(t, table.Sockets, programs*each)
	for _, s := range table.Sockets {
		require.NotNil(t, s.Options, s.Local)
		require.Equal(t, want[s.Local.String()+" "+s.Remote.String()], s.Options.String())
		require.Equal(t, []int{s.Owners[0].PID}, onlyPIDs(s))
		require.Contains(t, pids, s.Owners[0].PID)
		require.Equal(t, "sockets.test", s.Owners[0].Name)
	}
}

func onlyPIDs(s *Socket) (pids []int) {
	for _, o := range s.Owners {
		pids = append(pids, o.PID)
	}
	return pids
}

// TestSetWhileDescriptorsAreReused sets options on connections to one listener while a program
// closes them all the time, and opens connections to another listener with the same descriptors.
func TestSetWhileDescriptorsAreReused(t *testing.T) {
	c := start(t, nil, "churn")
	port, err := strconv.ParseUint(c.line(t), 10, 16)
	require.NoError(t, err)
	begin := time.Now()
	changed, gone := 0, 0
	for time.Since(begin) < 3*time.Second || changed == 0 || gone == 0 {
		require.Less(t, time.Since(begin), 2*time.Minute, "%d changed, %d gone", changed, gone)
		table, err := Find(Filter{PIDs: []int{c.cmd.Process.Pid}, Ports: []uint16{uint16(port)}, States: []State{Established}})
		require.NoError(t, err)
		for _, change := range Set(table.Sockets, keepalive.Options{Idle: 77 * time.Second}) {
			switch {
			case errors.Is(change.Err, ErrGone):
				gone++
			default:
				require.NoError(t, change.Err)
				require.Equal(t, 77*time.Second, change.After.Idle)
				changed++
			}
		}
	}
	took := time.Since(begin)
	require.NoError(t, c.in.Close())
	var exchanges, wrong int
	_, err = fmt.Sscan(c.line(t), &exchanges, &wrong)
	require.NoError(t, err)
	t.Logf("%d sockets changed, %d closed meanwhile; %.0f connections a second", changed, gone, 2*float64(exchanges)/took.Seconds())
	assert.Zero(t, wrong, "connections changed that no filter named")
	assert.Greater(t, exchanges, 100)
}

// TestListener changes a listener, which passes its options on.
func TestListener(t *testing.T) {
	for _, protocol := range []string{"tcp", "mptcp"} {
		t.Run(protocol, func(t *testing.T) {
			c := start(t, nil, "serve", protocol)
			addr := netip.MustParseAddrPort(c.line(t))
			table, err := List(Filter{PIDs: []int{c.cmd.Process.Pid}, States: []State{Listen}})
			require.NoError(t, err)
			require.Len(t, table.Sockets, 1)
			s := table.Sockets[0]
			assert.Equal(t, addr, s.Local)
			require.NotNil(t, s.Options)
			assert.True(t, s.Options.Disabled)
			if s.Multipath != (protocol == "mptcp") {
				require.True(t, multipathIsOff(), "the listener is not one of Multipath TCP")
				t.Skip("not supported here: net.mptcp.enabled is 0, or there is no such sysctl")
			}
			want := keepalive.Options{Idle: 33 * time.Second, Interval: 3 * time.Second, Count: 4, UserTimeout: 5 * time.Second}
			changes := Set(table.Sockets, want)
			require.Len(t, changes, 1)
			if s.Multipath {
				assert.ErrorIs(t, changes[0].Err, errors.ErrUnsupported, "it has no user timeout")
				want.UserTimeout = 0
			} else {
				assert.NoError(t, changes[0].Err)
			}
			assert.Equal(t, want, changes[0].After)
			c.say("connect")
			if s.Multipath {
				want.UserTimeout = keepalive.NoUserTimeout
			}
			assert.Equal(t, want.String(), c.line(t))
		})
	}
}

func multipathIsOff() bool {
	v, err := os.ReadFile("/proc/sys/net/mptcp/enabled")
	return err != nil || v[0] == '0'
}

// TestGone sets options on a socket that was closed after it was found.
func TestGone(t *testing.T) {
	c := start(t, nil, "serve", "tcp")
	c.line(t)
	table, err := Find(Filter{PIDs: []int{c.cmd.Process.Pid}})
	require.NoError(t, err)
	require.Len(t, table.Sockets, 1)
	c.end()
	assert.ErrorIs(t, Set(table.Sockets, keepalive.Options{})[0].Err, ErrGone)
}

// TestNamespaces lists and changes the sockets of a program in namespaces of its own, as a
// container has them.
func TestNamespaces(t *testing.T) {
	programtest.NeedRoot(t)
	c := start(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}, "serve", "tcp", "namespace")
	addr := netip.MustParseAddrPort(c.line(t))
	namespace, err := NamespaceAt(fmt.Sprintf("/proc/%d/ns/net", c.cmd.Process.Pid))
	require.NoError(t, err)
	own, err := NamespaceAt("/proc/self/ns/net")
	require.NoError(t, err)
	require.NotEqual(t, own.Inode, namespace.Inode)

	for _, f := range []Filter{{PIDs: []int{c.cmd.Process.Pid}}, {Namespaces: []Namespace{namespace}}} {
		table, err := List(f)
		require.NoError(t, err)
		require.Len(t, table.Sockets, 1)
		assert.Equal(t, addr, table.Sockets[0].Local)
		assert.Equal(t, namespace.Inode, table.Sockets[0].Namespace)
		assert.NoError(t, Set(table.Sockets, keepalive.Options{Idle: 44 * time.Second})[0].Err)
	}
	c.say("connect")
	assert.Contains(t, c.line(t), "idle=44s")
}

// TestWithoutRights lists sockets of root as another user.
func TestWithoutRights(t *testing.T) {
	programtest.NeedRoot(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	var want []string
	for _, o := range []keepalive.Options{{Disabled: true}, {Idle: 333 * time.Second}} {
		conn, err := net.Dial("tcp4", ln.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, keepalive.Enable(conn, o))
		far, err := ln.Accept()
		require.NoError(t, err)
		defer far.Close()
		want = append(want, conn.LocalAddr().String())
	}
	c := start(t, asNobody, "list", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	var table Table
	require.NoError(t, json.Unmarshal([]byte(c.line(t)), &table))
	found := 0
	for _, s := range table.Sockets {
		assert.Nil(t, s.Options)
		assert.Empty(t, s.Owners)
		switch s.Local.String() {
		case want[0]:
			assert.Equal(t, Derived{Known: true}, s.Derived)
			found++
		case want[1]:
			assert.True(t, s.Derived.Known && s.Derived.Enabled)
			assert.InDelta(t, 333, s.Derived.MinIdle.Seconds(), 1)
			found++
		case ln.Addr().String():
			if s.State == Listen { // not an accepted connection
				assert.Zero(t, s.Derived)
				found++
			}
		}
	}
	assert.Equal(t, 3, found)
	for range table.Sockets {
		assert.Equal(t, ErrDenied.Error(), c.line(t))
	}
}

var asNobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

// TestOwnProcesses lists and changes the sockets of a user's own process.
func TestOwnProcesses(t *testing.T) {
	programtest.NeedRoot(t)
	server := start(t, asNobody, "serve", "tcp")
	addr := netip.MustParseAddrPort(server.line(t))
	c := start(t, asNobody, "list", strconv.Itoa(int(addr.Port())))
	var table Table
	require.NoError(t, json.Unmarshal([]byte(c.line(t)), &table))
	require.Len(t, table.Sockets, 1)
	assert.NotNil(t, table.Sockets[0].Options)
	assert.Equal(t, server.cmd.Process.Pid, table.Sockets[0].Owners[0].PID)
	assert.Equal(t, "<nil>", c.line(t))
	server.say("connect")
	assert.Contains(t, server.line(t), "idle=55s")
}

func TestUnitOf(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for cgroups, want := range map[string][2]string{
		"":                                 {},
		"0::/\n":                           {},
		"garbage":                          {},
		"0::/system.slice/nginx.service\n": {"nginx.service", ""},
		"12:cpu:/x.service\n1:name=systemd:/system.slice/ssh.service\n":            {"ssh.service", ""},
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope\n":   {"user@1000.service", ""},
		"0::/system.slice/docker-" + id + ".scope\n":                               {"", "docker:0123456789ab"},
		"0::/docker/" + id + "\n":                                                  {"", "docker:0123456789ab"},
		"0::/machine.slice/libpod-" + id + ".scope/container\n":                    {"", "libpod:0123456789ab"},
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n": {"", "cri-containerd:0123456789ab"},
		"0::/kubepods/burstable/pod12ab/" + id + "\n":                              {"", "kubernetes:0123456789ab"},
	} {
		unit, container := unitOf(cgroups)
		assert.Equal(t, want, [2]string{unit, container}, cgroups)
	}
}

func TestFilter(t *testing.T) {
	owner := func(pid int, name string) []Owner { return []Owner{{Process: &Process{PID: pid, Name: name}}} }
	s := &Socket{
		Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:5000"),
		State: Established, Owners: owner(7, "nginx"), inode: 1,
	}
	matches := func(f Filter) bool { return f.matchSocket(s) && f.matchOwner(s) && f.matchOptions(s) }
	prefix := func(p string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(p)} }
	for _, f := range []Filter{
		{}, {PIDs: []int{1, 7}}, {Names: []string{"nginx"}}, {Ports: []uint16{80}}, {Ports: []uint16{5000}}, {Remotes: prefix("10.0.0.0/8")},
		{States: []State{Listen, Established}}, {PIDs: []int{7}, Names: []string{"nginx"}, Ports: []uint16{80}},
	} {
		assert.True(t, matches(f), "%+v", f)
	}
	for _, f := range []Filter{
		{PIDs: []int{1}}, {Names: []string{"ngin"}}, {Ports: []uint16{81}}, {Remotes: prefix("10.0.0.1/32")}, {States: []State{Listen}},
		{Namespaces: []Namespace{{Inode: 1}}}, {PIDs: []int{7}, Names: []string{"redis"}}, {Suspect: true}, {WithoutKeepalive: true},
	} {
		if len(f.Namespaces) == 0 { // applied before there are sockets
			assert.False(t, matches(f), "%+v", f)
		}
		assert.False(t, f.Empty())
	}
	s.Options = &keepalive.Options{Disabled: true}
	assert.True(t, matches(Filter{WithoutKeepalive: true}))
	s.Info = keepalive.Info{Retransmits: 2, Unacked: 1, Silence: time.Minute}
	assert.True(t, matches(Filter{Suspect: true}))
	s.State = Listen
	assert.False(t, matches(Filter{WithoutKeepalive: true}))
	assert.False(t, matches(Filter{Remotes: prefix("0.0.0.0/0")}))
	s.inode, s.State = 0, FinWait1
	assert.False(t, matches(Filter{}))
	assert.True(t, matches(Filter{Closed: true}))
	assert.True(t, (&Filter{Closed: true}).Empty())
}

func TestStates(t *testing.T) {
	for _, name := range States() {
		s, err := ParseState(name)
		assert.NoError(t, err)
		assert.Equal(t, name, s.String())
	}
	for _, name := range []string{"", "time-wait", "close", "syn-received", "ESTABLISHED"} {
		_, err := ParseState(name)
		assert.Error(t, err, name)
	}
	assert.Equal(t, "state(99)", State(99).String())
}
