package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// holdSockets is the first argument of a child that only holds TCP connections.
const holdSockets = "sockets"

// runHold opens n sockets, which are both ends of n/2 connections, prints a line, and waits for
// the end of its input.
func runHold(n int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var conns []net.Conn
	for range n / 2 {
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		far, err := l.Accept()
		if err != nil {
			return err
		}
		conns = append(conns, near, far)
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		c.(*net.TCPConn).SetLinger(0) // leaves no TIME-WAIT
		c.Close()
	}
	return err
}

// commands measures the command keepalive as a whole process, beside ss.
func commands(l *lab, s *section) error {
	if _, err := exec.LookPath("ss"); err != nil {
		s.lacks("keepalive list beside ss", fmt.Errorf("%w: ss of iproute2 is not installed", errors.ErrUnsupported))
		return nil
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "keepalive")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../cmd/keepalive"
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	s.say("Each value is the time of a whole process, from its start to its end. keepalive list also reads the options of each socket, and finds " +
		"the processes that own it, which ss does only with -p. keepalive set sets four options on each socket and reads them back.")
	err = l.hold(s, func(s *section, effort int) error { return commandSize(s, program, 10_000, l.rounds(15)*effort) })
	if err != nil || l.short {
		return err
	}
	return commandSize(s, program, 60_000, 5)
}

func commandSize(s *section, program string, n, rounds int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	parts := (n-1)/min(15_000, descriptorLimit()) + 1
	var pids []string
	for range parts {
		c, err := startChild(ctx, holdSockets, strconv.Itoa(n/parts))
		if err != nil {
			return err
		}
		defer func() { c.in.Close(); c.cmd.Wait() }()
		if err := c.waitReady(); err != nil {
			return err
		}
		pids = append(pids, strconv.Itoa(c.cmd.Process.Pid))
	}
	of := strings.Join(pids, ",")
	list := process(program, "list", "-o", "json", "--state", "established", "--pid", of)
	out, err := exec.Command(program, "list", "-o", "json", "--state", "established", "--pid", of).Output()
	if err != nil {
		return err
	}
	if found := strings.Count(string(out), `"options":"`); found != n {
		return fmt.Errorf("keepalive list has the options of %d sockets, want %d", found, n)
	}
	const ours, set = "keepalive list -o json", "keepalive set"
	const bare, theirs = "ss -tnoi", "ss -tnoip" // which also finds the processes
	all, err := compare(rounds, 1,
		variant{ours, list},
		variant{bare, process("ss", "-tnoi")},
		variant{theirs, process("ss", "-tnoip")},
		variant{set, process(program, "set", "idle=45s,interval=5s,count=3,user-timeout=1m", "--state", "established", "--pid", of)},
	)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, r := range all {
		rows = append(rows, []string{r.name, spreadOf(r.ns).times(1e-6).String(), r.against(named(all, bare)).String()})
	}
	s.table([]string{grouped(n) + " sockets", "ms", "times " + bare}, rows)
	what := func(name string) string { return fmt.Sprintf("%s / %s, %s sockets", name, theirs, grouped(n)) }
	s.promise(promise{what: what(ours), seen: named(all, ours).against(named(all, theirs)), limit: 1.5, unit: "times"})
	s.promise(promise{what: what(set), seen: named(all, set).against(named(all, theirs)), limit: 1.5, unit: "times"})
	return nil
}

// process makes a variant's run of a program.
func process(name string, args ...string) func(int) (time.Duration, error) {
	return calls(func() error {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}
