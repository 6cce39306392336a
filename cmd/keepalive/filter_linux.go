package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

// filterFlags are the flags that select sockets.
type filterFlags struct {
	pids             []int
	names            []string
	ports            []int
	remotes          []string
	states           []string
	namespaces       []string
	withoutKeepalive bool
	suspect          bool

	flags *pflag.FlagSet
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.flags = flags
	flags.IntSliceVarP(&f.pids, "pid", "p", nil, "sockets of these process `IDs`")
	flags.StringSliceVarP(&f.names, "process", "n", nil, "sockets of processes with these `names`, as in /proc/PID/comm")
	flags.IntSliceVar(&f.ports, "port", nil, "sockets with these local or remote `ports`")
	flags.StringSliceVar(&f.remotes, "remote", nil, "connections to these `addresses`, for example 10.0.0.0/8")
	flags.StringSliceVar(&f.states, "state", nil, "sockets in these `states`: "+strings.Join(sockets.States(), ", "))
	flags.StringSliceVar(&f.namespaces, "netns", nil, "sockets of these network `namespaces`, given by inode number or by path, such as /proc/PID/ns/net or /run/netns/NAME")
	flags.BoolVar(&f.withoutKeepalive, "without-keepalive", false, "connections on which keepalive is off")
	flags.BoolVar(&f.suspect, "suspect", false, "connections whose peer is probably dead, because something is unanswered")
	for _, name := range []string{"pid", "process", "port", "remote"} {
		complete(cmd, name)
	}
	complete(cmd, "state", sockets.States()...)
}

// filter checks the flags, and returns the filter that they describe.
func (f *filterFlags) filter() (sockets.Filter, error) {
	filter := sockets.Filter{PIDs: f.pids, Names: f.names, WithoutKeepalive: f.withoutKeepalive, Suspect: f.suspect}
	// An empty value, as of an unset variable of the shell, must not select everything.
	for name, values := range map[string][]string{"process": f.names, "remote": f.remotes, "state": f.states, "netns": f.namespaces} {
		if f.flags.Changed(name) && (len(values) == 0 || slices.Contains(values, "")) {
			return filter, usagef("--%s: must not be empty", name)
		}
	}
	for _, pid := range f.pids {
		if pid <= 0 {
			return filter, usagef("--pid %d: must be positive", pid)
		}
	}
	for _, name := range f.names {
		if len(name) > 15 {
			return filter, usagef("--process %q: Linux cuts names after 15 bytes, for example %q", name, name[:15])
		}
	}
	for _, port := range f.ports {
		if port < 1 || port > 65535 {
			return filter, usagef("--port %d: must be between 1 and 65535", port)
		}
		filter.Ports = append(filter.Ports, uint16(port))
	}
	for _, text := range f.remotes {
		prefix, err := parsePrefix(text)
		if err != nil {
			return filter, usagef("--remote %q: must be an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32", text)
		}
		filter.Remotes = append(filter.Remotes, prefix)
	}
	for _, name := range f.states {
		state, err := sockets.ParseState(name)
		if err != nil {
			return filter, usagef("--state %q: must be one of %s", name, strings.Join(sockets.States(), ", "))
		}
		filter.States = append(filter.States, state)
	}
	for _, text := range f.namespaces {
		n, err := parseNamespace(text)
		if err != nil {
			return filter, fmt.Errorf("--netns: %w", err)
		}
		filter.Namespaces = append(filter.Namespaces, n)
	}
	return filter, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), err
	}
	prefix, err := netip.ParsePrefix(text)
	if err == nil && prefix.Addr().Is4In6() {
		err = errors.New("an IPv4 address in IPv6")
	}
	return prefix, err
}

// parseNamespace returns the network namespace with an inode number, such as 4026531840 or
// net:[4026531840], or at a path.
func parseNamespace(text string) (sockets.Namespace, error) {
	digits := strings.TrimSuffix(strings.TrimPrefix(text, "net:["), "]")
	inode, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return sockets.NamespaceAt(text)
	}
	all, err := sockets.Namespaces()
	if err != nil {
		return sockets.Namespace{}, err
	}
	i := slices.IndexFunc(all, func(n sockets.Namespace) bool { return n.Inode == inode })
	if i < 0 {
		return sockets.Namespace{}, fmt.Errorf("network namespace %d: no process in it is visible to this user", inode)
	}
	return all[i], nil
}
