//go:build !linux

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// linuxCommands returns commands that only report that they need Linux.
func linuxCommands() []*cobra.Command {
	var commands []*cobra.Command
	for name, short := range map[string]string{} {
		commands = append(commands, &cobra.Command{
			Use:                name,
			Short:              short + " (Linux only)",
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				return fmt.Errorf("keepalive %s needs Linux, and this is %s", name, runtime.GOOS)
			},
		})
	}
	return commands
}
