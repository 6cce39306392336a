package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Some things take a process of their own: to be traced, to enter a network
// namespace, to have one's processor time and memory for oneself. roleEnv names
// what this program, started by itself, is to do.
const roleEnv = "KEEPALIVE_BENCH_ROLE"

// roles are what a child may be told to do. They write their result to standard
// output, as JSON.
var roles = map[string]func(args []string) (any, error){
	"trace": traced,
	"link":  captured,
	"watch": watched,
}

// play carries out a role.
func play(role string, args []string) int {
	f, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: %s=%s is no role\n", roleEnv, role)
		return 2
	}
	result, err := f(args)
	if err == nil && result != nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// errAbsent is in the errors that say that something cannot be had on this
// machine. All others are defects.
var errAbsent = errors.New("cannot be had here")

func absent(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errAbsent, err)
}

// child is this program in a role, run by the command line before, if any.
func child(ctx context.Context, before []string, role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := append(append(before, self), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return cmd, nil
}
