package main

import "github.com/spf13/cobra"

// linuxCommands returns the commands that need Linux.
func linuxCommands() []*cobra.Command {
	return []*cobra.Command{
		newListCommand(), newSetCommand(), newPathCommand(), newRunCommand(), newSuperviseCommand(), newAttachCommand(), newDetachCommand(),
	}
}
