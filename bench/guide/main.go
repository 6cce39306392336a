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
	"strings"
)

// experiment is one measurement. It prints its result to out, and its progress to stderr.
type experiment struct {
	name, about string
	run         func(out io.Writer, args []string) error
}

var experiments = []experiment{
	{"disappear", "how a peer disappears, and what a program sees with each remedy", disappear},
	{"probe", "what a probe is, and what a router, a NAT and a proxy make of it", probe},
	{"claims", "what is often said about keepalive, and what happens", claims},
	{"timelines", "pictures of the five settings", timelines},
	{"cost", "what probes cost, for 1, 10,000 and a million connections", cost},
	{"falsepositive", "how often a connection is dropped though its peer is alive", falsePositive},
}

func main() {
	enter()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// usageError is returned for wrong arguments.
type usageError string

func (e usageError) Error() string { return string(e) }

// helpText is returned for -h, with the text to print.
type helpText string

func (h helpText) Error() string { return string(h) }

func run(args []string, out, notes io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(out, "Usage: go run -C bench ./guide NAME [FLAGS]\n\n")
		for _, e := range experiments {
			fmt.Fprintf(out, "  %-13s %s\n", e.name, e.about)
		}
		return 0
	}
	for _, e := range experiments {
		if e.name != args[0] {
			continue
		}
		var usage usageError
		var help helpText
		err := e.run(out, args[1:])
		switch {
		case err == nil:
			return 0
		case errors.As(err, &help):
			fmt.Fprint(out, help)
			return 0
		case errors.As(err, &usage):
			fmt.Fprintf(notes, "guide: %s: %v\n", e.name, err)
			return 2
		}
		fmt.Fprintf(notes, "guide: %s: %v\n", e.name, err)
		return 1
	}
	fmt.Fprintf(notes, "guide: no experiment %q: run without arguments for a list\n", args[0])
	return 2
}

// parse parses the flags of an experiment, which takes no other arguments. Return its
// error.
func parse(fs *flag.FlagSet, args []string) error {
	var text strings.Builder
	fs.SetOutput(&text)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return helpText(text.String())
	case err != nil:
		return usageError(strings.TrimSpace(text.String()))
	case fs.NArg() > 0:
		return usageError(fmt.Sprintf("unexpected argument %q: it takes only flags", fs.Arg(0)))
	}
	return nil
}
