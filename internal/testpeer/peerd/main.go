// Command peerd plays the far end of test connections for a program that cannot
// do it itself, such as a Windows test under Wine: see package testpeer.
//
//	peerd COMMAND ARGS...
//
// It runs COMMAND with KEEPALIVE_PEER set to its address on loopback, and exits
// as COMMAND does.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/go-keepalive/keepalive/internal/testpeer"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peerd COMMAND ARGS...")
		os.Exit(2)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerd:", err)
		os.Exit(1)
	}
	go testpeer.Serve(l)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
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
