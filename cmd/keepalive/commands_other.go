//go:build !linux

package main

import "github.com/spf13/cobra"

// linuxCommands returns commands that only report that they need Linux.
func linuxCommands() []*cobra.Command {
	return []*cobra.Command{
		needsLinux("list", "List the TCP connections of this host and their keepalive options"),
		needsLinux("set", "Set the options of connections and listeners of running programs"),
	}
}
