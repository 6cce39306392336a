package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The environment variables that this program sets for itself.
const (
	enteredEnv = "KEEPALIVE_GUIDE_ENTERED" // it runs in a user namespace
	serverEnv  = "KEEPALIVE_GUIDE_SERVER"  // it is to be a server
)

// The main thread stays in its own namespace, and is not one of those that end.
func init() { runtime.LockOSThread() }

// enter gives this process the right to create network namespaces. If it does not run as
// root, it runs the program again in a user namespace, and exits with its status. It does
// not return in a process that is a server.
func enter() {
	if interval := os.Getenv(serverEnv); interval != "" {
		fmt.Fprintf(os.Stderr, "guide: server: %v\n", serve(interval))
		os.Exit(1)
	}
	if os.Geteuid() == 0 || os.Getenv(enteredEnv) != "" {
		return
	}
	self, err := os.Executable()
	if err == nil {
		cmd := exec.Command(self, os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), enteredEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			Pdeathsig:   syscall.SIGKILL,
		}
		if err = cmd.Start(); err == nil {
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code >= 0 {
				os.Exit(code)
			}
			os.Exit(1) // by a signal
		}
	}
	fmt.Fprintf(os.Stderr, "guide: cannot create a user namespace: %v\n%s\n", err, rights)
	os.Exit(1)
}

// rights explains an error of permission.
const rights = `Run it as root, or allow user namespaces for users. See the sysctls
user.max_user_namespaces, user.max_net_namespaces,
kernel.unprivileged_userns_clone (Debian) and
kernel.apparmor_restrict_unprivileged_userns (Ubuntu). In a container, root needs
CAP_SYS_ADMIN and CAP_NET_ADMIN.`

// namespace is a network namespace, and a thread in it. It ends with the thread, when its
// last socket and its last process have ended.
type namespace struct {
	calls chan func()
	ended chan struct{}
	tid   int
}

func newNamespace() (*namespace, error) {
	n := &namespace{calls: make(chan func()), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		n.tid = unix.Gettid()
		started <- err
		if err != nil {
			return
		}
		for {
			select {
			case f := <-n.calls:
				f()
			case <-n.ended:
				return
			}
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot create a network namespace: %w\n%s", err, rights)
	}
	// Without IPv6, the interfaces carry only the packets of the experiment.
	err := n.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = n.ip("link set lo up")
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// do runs f in the namespace. Sockets and processes that f creates belong to it. f must
// not wait for long, because other calls wait for it.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	select {
	case n.calls <- func() { done <- f() }:
		return <-done
	case <-n.ended:
		return errors.New("the network namespace has ended")
	}
}

// close ends the thread.
func (n *namespace) close() {
	if n != nil {
		close(n.ended)
	}
}

// command runs a program in the namespace.
func (n *namespace) command(stdin, name string, args ...string) error {
	path, err := findProgram(name)
	if err != nil {
		return err
	}
	return n.do(func() error {
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out), stdin)
		}
		return nil
	})
}

// ip runs commands of the program ip.
func (n *namespace) ip(commands ...string) error {
	return n.command(strings.Join(commands, "\n")+"\n", "ip", "-batch", "-")
}

// findProgram also looks into folders that are not in the PATH of every user.
func findProgram(name string) (string, error) {
	for _, folder := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(folder + name); err == nil {
			return path, nil
		}
	}
	packages := map[string]string{"ip": "iproute2", "nft": "nftables"}
	return "", fmt.Errorf("%w: the program %s is not installed: install the package %s", errors.ErrUnsupported, name, packages[name])
}

// sysctl sets a sysctl of the namespace.
func (n *namespace) sysctl(name string, value int) error {
	path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
	return n.do(func() error { return os.WriteFile(path, []byte(strconv.Itoa(value)), 0) })
}

// The addresses and ports of a lab.
var (
	clientAddr = netip.MustParseAddr("10.0.0.2")
	insideAddr = netip.MustParseAddr("10.0.0.1")    // the router's, at the client's side
	natAddr    = netip.MustParseAddr("203.0.113.1") // the router's, at the server's side
	serverAddr = netip.MustParseAddr("203.0.113.2")
)

const (
	serverMAC     = "02:00:00:00:00:02"
	echoPort      = 7000 // the server returns what it receives
	heartbeatPort = 7001 // the same with heartbeat.Conn
)

// labConfig has the properties of a lab.
type labConfig struct {
	plain      bool          // the router is no NAT and no firewall
	natTimeout time.Duration // of idle connections, in seconds, or 0 for the default
	natReset   bool          // the NAT answers segments without state with RST, and is not silent
	natLoose   bool          // the NAT creates state also for segments in the middle of a connection
	// arp means that the router notices when the server is gone, because it does not answer
	// ARP. Otherwise the network answers ARP, as it does in clouds.
	arp bool
}

// lab is a small network, with a namespace for each of the three:
//
//	client 10.0.0.2 --- 10.0.0.1 router 203.0.113.1 --- 203.0.113.2 server
//	             c0     r0                       r1     s0
type lab struct {
	client, router, server *namespace
	process                *exec.Cmd     // the server's
	heartbeat              time.Duration // the interval of its heartbeats
	closers                []io.Closer
}

func newLab(config labConfig) (*lab, error) {
	l := &lab{}
	if err := l.build(config); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) build(config labConfig) (err error) {
	for _, n := range []**namespace{&l.client, &l.router, &l.server} {
		if *n, err = newNamespace(); err != nil {
			return err
		}
	}
	if err := l.router.ip(
		fmt.Sprintf("link add name r0 type veth peer name c0 netns %d", l.client.tid),
		fmt.Sprintf("link add name r1 type veth peer name s0 address %s netns %d", serverMAC, l.server.tid),
		fmt.Sprintf("addr add %v/24 dev r0", insideAddr),
		fmt.Sprintf("addr add %v/24 dev r1", natAddr),
		"link set r0 up",
		"link set r1 up",
	); err != nil {
		return err
	}
	if err := l.client.ip(
		fmt.Sprintf("addr add %v/24 dev c0", clientAddr),
		"link set c0 up",
		fmt.Sprintf("route add default via %v", insideAddr),
	); err != nil {
		return err
	}
	if err := l.client.waitRunning("c0"); err != nil {
		return err
	}
	if err := l.router.waitRunning("r0"); err != nil {
		return err
	}
	if err := l.configureServer(); err != nil {
		return err
	}
	if err := l.router.sysctl("net.ipv4.ip_forward", 1); err != nil {
		return err
	}
	if !config.arp {
		if err := l.router.ip(fmt.Sprintf("neigh replace %v lladdr %s dev r1 nud permanent", serverAddr, serverMAC)); err != nil {
			return err
		}
	}
	if config.plain {
		return nil
	}
	return l.nat(config)
}

// configureServer sets up the interface of the server, and waits until it works.
func (l *lab) configureServer() error {
	if err := l.server.ip(
		fmt.Sprintf("addr add %v/24 dev s0", serverAddr),
		"link set s0 up",
		fmt.Sprintf("route add %v via %v", clientAddr, natAddr),
	); err != nil {
		return err
	}
	if err := l.server.waitRunning("s0"); err != nil {
		return err
	}
	return l.router.waitRunning("r1")
}

// waitRunning waits until an interface sends packets. That is a moment after both of its
// ends are up.
func (n *namespace) waitRunning(name string) error {
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
		var intf *net.Interface
		err := n.do(func() (err error) {
			intf, err = net.InterfaceByName(name)
			return err
		})
		if err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
		if intf.Flags&net.FlagRunning != 0 {
			return nil
		}
	}
	return fmt.Errorf("interface %s is not running after 10s", name)
}

// nat makes the router a NAT and a firewall, as nearly every router at home is. It keeps the
// state of each connection, and passes only segments of known connections.
func (l *lab) nat(config labConfig) error {
	unknown, loose := "", 0
	switch {
	case config.natReset:
		unknown = "reject with tcp reset"
	case config.natLoose:
		unknown, loose = `iifname "r0" accept`, 1
	}
	rules := fmt.Sprintf(`
table ip nat {
  chain post { type nat hook postrouting priority 100; policy accept;
    oifname "r1" masquerade
  }
}
table ip firewall {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state new tcp flags & (syn|ack) == syn accept
    %s
  }
}
`, unknown)
	if err := l.router.command(rules, "nft", "-f", "-"); err != nil {
		return err
	}
	// The rules have loaded the kernel's connection tracking, which has these.
	if err := l.router.sysctl("net.netfilter.nf_conntrack_tcp_loose", loose); err != nil {
		return err
	}
	if config.natTimeout == 0 {
		return nil
	}
	return l.router.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", int(config.natTimeout.Seconds()))
}

// natEntries returns the remaining time of each TCP connection that the NAT has, by the
// port of the client.
func (l *lab) natEntries() (map[int]time.Duration, error) {
	var text []byte
	err := l.router.do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/nf_conntrack")
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: this kernel was built without CONFIG_NF_CONNTRACK_PROCFS", err)
	} else if err != nil {
		return nil, err
	}
	return parseNATEntries(string(text))
}

// parseNATEntries parses lines such as
//
//	ipv4 2 tcp 6 431999 ESTABLISHED src=10.0.0.2 dst=203.0.113.2 sport=40000 dport=7000 src=...
func parseNATEntries(text string) (map[int]time.Duration, error) {
	entries := map[int]time.Duration{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[2] != "tcp" {
			continue
		}
		seconds, err := strconv.Atoi(f[4])
		var port int
		for _, word := range f {
			if text, ok := strings.CutPrefix(word, "sport="); ok && err == nil {
				port, err = strconv.Atoi(text)
				break // the first direction is the client's
			}
		}
		if err != nil || port == 0 {
			return nil, fmt.Errorf("nf_conntrack: cannot parse %q", line)
		}
		entries[port] = time.Duration(seconds) * time.Second
	}
	return entries, nil
}

// loseNATState removes the state of all connections, as a restart of the NAT does.
func (l *lab) loseNATState() error {
	err := l.router.do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return os.NewSyscallError("socket(AF_NETLINK)", err)
		}
		defer unix.Close(fd)
		const (
			conntrack       = 1 // NFNL_SUBSYS_CTNETLINK
			conntrackDelete = 2 // IPCTNL_MSG_CT_DELETE. Without attributes, it deletes all entries
		)
		message := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+4)
		message = binary.NativeEndian.AppendUint16(message, conntrack<<8|conntrackDelete)
		message = binary.NativeEndian.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		message = append(message, make([]byte, 8)...)    // sequence number and port
		message = append(message, unix.AF_INET, 0, 0, 0) // struct nfgenmsg
		if err := unix.Send(fd, message, 0); err != nil {
			return os.NewSyscallError("send(AF_NETLINK)", err)
		}
		answer := make([]byte, 4096)
		count, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return os.NewSyscallError("recv(AF_NETLINK)", err)
		}
		if count < unix.SizeofNlMsghdr+4 {
			return fmt.Errorf("short answer of %d bytes", count)
		}
		if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
			return syscall.Errno(errno)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot delete the NAT's entries (nf_conntrack_netlink): %w", err)
	}
	return nil
}

// startServer starts the server as another process. heartbeat is the interval of its
// heartbeats.
func (l *lab) startServer(heartbeat time.Duration) error {
	l.heartbeat = heartbeat
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverEnv+"="+heartbeat.String())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := l.server.do(cmd.Start); err != nil {
		return fmt.Errorf("cannot start the server: %w", err)
	}
	l.process = cmd
	if _, err := io.ReadFull(stdout, make([]byte, len(ready))); err != nil {
		return fmt.Errorf("the server did not start: %w", err)
	}
	return nil
}

// killServer ends the process, and waits until it has ended.
func (l *lab) killServer() {
	if l.process != nil {
		l.process.Process.Kill()
		l.process.Wait()
		l.process = nil
	}
}

// hang stops the server's process, and waits until all of its threads have stopped.
func (l *lab) hang() error {
	if err := l.process.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("SIGSTOP: %w", err)
	}
	pattern := fmt.Sprintf("/proc/%d/task/*/stat", l.process.Process.Pid)
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		running := len(threads) == 0
		for _, name := range threads {
			stat, err := os.ReadFile(name)
			// The state follows the name of the program, which is in parentheses.
			end := bytes.LastIndexByte(stat, ')')
			running = running || err != nil || !bytes.HasPrefix(stat[end+1:], []byte(" T"))
		}
		if !running {
			return nil
		}
	}
	return errors.New("the server did not stop after SIGSTOP")
}

// waitExpired waits until the NAT has dropped the connections of these ports of the client.
func (l *lab) waitExpired(ports []int, timeout time.Duration) error {
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		entries, err := l.natEntries()
		if err != nil {
			return err
		}
		left := 0
		for _, port := range ports {
			if _, ok := entries[port]; ok {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if idle := time.Since(start); idle > 3*timeout+5*time.Second {
			return fmt.Errorf("the NAT still has %d connections that were idle for %v", left, idle.Round(time.Second))
		}
	}
}

// changeAddress gives the client another address.
func (l *lab) changeAddress() error {
	return l.client.ip(
		fmt.Sprintf("addr del %v/24 dev c0", clientAddr),
		fmt.Sprintf("addr add %v/24 dev c0", clientAddr.Next()),
		fmt.Sprintf("route replace default via %v", insideAddr),
	)
}

// crash takes the server's network down, so that it receives and sends nothing any more.
func (l *lab) crash() error { return l.server.ip("link set s0 down") }

// reboot starts the server's system again. The interface moves into a new namespace, which
// knows nothing of the connections. The old namespace ends.
func (l *lab) reboot() error {
	if err := l.crash(); err != nil {
		return err
	}
	l.killServer()
	fresh, err := newNamespace()
	if err != nil {
		return err
	}
	err = l.server.ip(fmt.Sprintf("link set s0 netns %d", fresh.tid))
	l.server.close()
	l.server = fresh
	if err == nil {
		err = l.configureServer()
	}
	if err == nil {
		err = l.startServer(l.heartbeat)
	}
	return err
}

// close ends the server and all namespaces.
func (l *lab) close() {
	for _, c := range l.closers {
		c.Close()
	}
	l.killServer()
	l.client.close()
	l.router.close()
	l.server.close()
}
