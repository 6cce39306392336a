package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/cgroup"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sockets"
)

func newAttachCommand() *cobra.Command {
	var a attachCommand
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS TARGET]",
		Short: "Set the options of a running service or container",
		Long: `attach sets OPTIONS on all TCP connections that the programs in a cgroup open or
accept from now on. Without arguments, it lists what is attached.

TARGET is one of:

  nginx.service             a systemd unit that is running. Without a suffix, it
                            is a service
  3f4e9d2a7c61              the first digits of the id of a container of Docker,
                            podman, containerd or CRI-O
  /system.slice/x.service   the path of a cgroup, with or without the folder
                            where cgroups are mounted. / is the whole system

The settings hold for the cgroup and all cgroups below it. They stay until
keepalive detach removes them, or until the cgroup is removed, which happens
when the unit or the container stops. New settings for the same cgroup replace
the old ones.

If a program in the cgroup, or keepalive set, sets one of the options that
OPTIONS names, the call succeeds, but sets the value of OPTIONS. The list counts
such calls as ignored. Other options can be changed.

If settings are attached to several cgroups above a program, those of the
outermost cgroup have priority. With --allow-override, programs, and settings
that are attached to a cgroup below, can choose other values.

On a Multipath TCP connection, the subflows have OPTIONS, which getsockopt does
not show.

Not covered are:

  - open connections, without --existing
  - setsockopt calls of 32-bit programs on a 64-bit kernel. Their connections
    begin with OPTIONS, but the programs can change them
  - sockets that a process created before it was moved to the cgroup, and the
    connections that are accepted on them

attach needs Linux 5.9, cgroup v2, and the capabilities CAP_BPF and
CAP_NET_ADMIN. To list, replace or detach settings, CAP_SYS_ADMIN and
CAP_NET_ADMIN are needed. keepalive run works without these rights.

To attach settings whenever a systemd unit starts, write this to a drop-in such
as /etc/systemd/system/nginx.service.d/keepalive.conf, and run systemctl
daemon-reload:

  [Service]
  ExecStartPre=+/usr/local/bin/keepalive attach idle=45s,interval=5s,count=3 %n`,
		Example: `  keepalive attach idle=45s,interval=5s,count=3 nginx.service
  keepalive attach detect-within=1m 3f4e9d2a7c61
  keepalive attach --allow-override keep-open=350s /system.slice
  keepalive attach`,
		Args: usageArgs(func(cmd *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fmt.Errorf("attach needs OPTIONS and TARGET, or no argument to list what is attached")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listAttachments(cmd.OutOrStdout())
			}
			return a.attach(cmd, args[0], args[1])
		},
	}
	cmd.Flags().BoolVar(&a.allowOverride, "allow-override", false, "let programs and cgroups below choose other values")
	cmd.Flags().BoolVar(&a.existing, "existing", false, "also change open connections and listeners")
	return cmd
}

// attachCommand is keepalive attach.
type attachCommand struct {
	allowOverride, existing bool
}

func (a *attachCommand) attach(cmd *cobra.Command, text, target string) error {
	options, err := parseAndWarn(cmd, text)
	if err != nil {
		return err
	}
	dir, err := cgroup.Find(target)
	if err != nil {
		return err
	}
	if err := cgroup.Attach(dir, cgroup.Settings{Options: options, AllowOverride: a.allowOverride}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is attached to %s\n", options, cgroup.Name(dir))
	above, _ := cgroup.Above(dir) // needs more capabilities
	for _, outer := range above {
		if !outer.AllowOverride {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is attached to %s above it and has priority\n", outer.Options, cgroup.Name(outer.Dir))
		}
	}
	if a.existing {
		return setExisting(cmd, dir, options)
	}
	return nil
}

// setExisting sets options on the sockets that the processes in the cgroup have now.
func setExisting(cmd *cobra.Command, dir string, options keepalive.Options) error {
	pids, err := cgroup.Processes(dir)
	if err != nil || len(pids) == 0 {
		return err
	}
	table, err := sockets.Find(sockets.Filter{PIDs: pids})
	if err != nil || len(table.Sockets) == 0 && table.Hidden == 0 {
		return err
	}
	return report(cmd, table, sockets.Set(table.Sockets, options), options)
}

func listAttachments(w io.Writer) error {
	list, err := cgroup.List()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing is attached.")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CGROUP\tOPTIONS\tCONNECTIONS\tIGNORED\tFAILED\tOVERRIDE")
	for _, a := range list {
		override := "no"
		if a.AllowOverride {
			override = "allowed"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", cgroup.Name(a.Dir), a.Options, a.Connections, a.Ignored, a.Failed, override)
	}
	return table.Flush()
}
