//go:build linux

// Command guide measures what docs/guide.md states. From the root of the repository:
//
//	go run -C bench ./guide              lists the experiments
//	go run -C bench ./guide NAME         runs one
//	go run -C bench ./guide NAME -h      shows its flags
//
// The experiments run in network namespaces of their own, so they need Linux. They do not
// need root where users can create user namespaces. Most of them need the programs ip
// (iproute2) and nft (nftables).
//
// The exit status is 1 if an experiment fails, and 2 for wrong arguments.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// experiment is one measurement. It prints its result to out, and its progress to stderr.
type experiment struct {
	name, about string
	run         func(out io.Writer, args []string) error
}

var experiments = []experiment{
	{"disappear", "how a peer disappears, and what a program sees with each remedy", disappear},
}

func main() {
	enter()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage is returned for wrong arguments. The message has been printed.
var errUsage = errors.New("usage")

func run(args []string, out, notes io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(out, "Usage: go run -C bench ./guide NAME [FLAGS]\n\n")
		for _, e := range experiments {
			fmt.Fprintf(out, "  %-12s %s\n", e.name, e.about)
		}
		return 0
	}
	for _, e := range experiments {
		if e.name != args[0] {
			continue
		}
		err := e.run(out, args[1:])
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		}
		fmt.Fprintf(notes, "guide: %s: %v\n", e.name, err)
		return 1
	}
	fmt.Fprintf(notes, "guide: no experiment %q: run without arguments for a list\n", args[0])
	return 2
}

// parse parses the flags of an experiment, which takes no other arguments.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(fs.Output(), "guide: unexpected argument %q: %s takes only flags\n", fs.Arg(0), fs.Name())
		return errUsage
	}
	return nil
}
