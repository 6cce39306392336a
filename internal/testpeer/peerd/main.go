// Command peerd plays the far end of test connections for a program that cannot
// do it itself, such as a Windows test under Wine: see package testpeer.
//
//	peerd [-addr HOST:PORT] COMMAND ARGS...
//
// It runs COMMAND with KEEPALIVE_PEER set to its address, and exits as COMMAND
// does. By default it listens on loopback.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/go-keepalive/keepalive/internal/testpeer"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "listen on `host:port`")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: peerd [-addr HOST:PORT] COMMAND ARGS...")
		os.Exit(2)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerd:", err)
		os.Exit(1)
	}
	go testpeer.Serve(l)
	cmd := exec.Command(flag.Arg(0), flag.Args()[1:]...)
	cmd.Env = append(os.Environ(), testpeer.Env+"="+l.Addr().String())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	case err != nil:
		fmt.Fprintln(os.Stderr, "peerd:", err)
		os.Exit(1)
	}
}
