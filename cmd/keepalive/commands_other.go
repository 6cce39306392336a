//go:build !linux

package main

import "github.com/spf13/cobra"

// linuxCommands returns commands that only report that they need Linux.
func linuxCommands() []*cobra.Command {
	return []*cobra.Command{
		needsLinux("list", "List the TCP connections of this host and their keepalive options"),
		needsLinux("set", "Set the options of connections and listeners of running programs"),
		needsLinux("run", "Run a program with OPTIONS on all of its TCP connections"),
		needsLinux("attach", "Set the options of a running service or container"),
		needsLinux("detach", "Remove what keepalive attach has attached"),
		needsLinux("path", "Measure after how long the path to a server drops an idle connection"),
	}
}
