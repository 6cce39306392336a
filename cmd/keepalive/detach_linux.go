package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/cgroup"
)

func newDetachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "detach TARGET",
		Short: "Remove what keepalive attach has attached",
		Long: `detach removes the settings that keepalive attach has attached to a cgroup.
TARGET is a systemd unit, a container's id or a path, as for keepalive attach.
Open connections and listeners keep their options. detach needs CAP_SYS_ADMIN
and CAP_NET_ADMIN.`,
		Example: `  keepalive detach nginx.service
  keepalive detach /system.slice`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := cgroup.Find(args[0])
			if err != nil {
				return err
			}
			err = cgroup.Detach(dir)
			if errors.Is(err, cgroup.ErrNotAttached) {
				if above, _ := cgroup.Above(dir); len(above) > 0 {
					return fmt.Errorf("%w, but to %s above it", err, cgroup.Name(above[len(above)-1].Dir))
				}
				return fmt.Errorf("%w: keepalive attach lists what is attached", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "detached from %s\n", cgroup.Name(dir))
			return nil
		},
	}
}
