package main

import (
	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/seccomp"
)

const superviseName = "supervise"

// newSuperviseCommand returns the command that runs beside a program of keepalive run.
func newSuperviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    superviseName + " ROLE OPTIONS",
		Short:  "Set the options of a program (keepalive run starts this command)",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := parseOptions(args[1])
			if err != nil {
				return err
			}
			return seccomp.Supervise(args[0], o, superviseName)
		},
	}
}
