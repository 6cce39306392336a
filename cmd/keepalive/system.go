package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/explain"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/sysdefault"
	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/text"
)

func newSystemCommand() *cobra.Command {
	var c systemCommand
	cmd := &cobra.Command{
		Use:   "system [OPTIONS]",
		Short: "Show or set the system's defaults",
		Long: `system shows the system's defaults for TCP keepalive, and where they come from.
With OPTIONS it sets them.

The defaults apply to sockets on which a program has turned keepalive on without
setting times of its own. No default turns keepalive on, and Linux has none for
the user timeout. Times are rounded up to whole seconds.

Setting works on Linux, where each network namespace has its own defaults. It
needs root or CAP_NET_ADMIN in the namespace. If one value cannot be set, the
others are restored. Without --persist, the values are lost at the next reboot.
The file of --persist is for the network namespace of the host. On other
systems, system prints the command to use.`,
		Example: `  keepalive system
  keepalive system idle=5m,interval=15s,count=3 --dry-run
  keepalive system idle=5m,interval=15s,count=3
  keepalive system keep-open=350s --persist
  keepalive system idle=5m --persist --file /etc/sysctl.d/90-site.conf`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeOptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(c.output); err != nil {
				return err
			}
			if cmd.Flags().Changed("file") && !c.persist {
				return usagef("--file needs --persist: see keepalive system --help")
			}
			if len(args) == 0 {
				return c.show(cmd.OutOrStdout())
			}
			return c.set(cmd.OutOrStdout(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&c.dryRun, "dry-run", false, "show what would change, and change nothing")
	flags.BoolVar(&c.persist, "persist", false, "also write "+sysdefault.BootFile+", read at boot")
	flags.StringVar(&c.file, "file", sysdefault.BootFile, "write this `file` instead")
	flags.Lookup("file").DefValue = "" // --persist names it
	addOutputFlag(cmd, &c.output)
	return cmd
}

type systemCommand struct {
	dryRun  bool
	persist bool
	file    string
	output  string
}

// systemDefaults is what system shows.
type systemDefaults struct {
	System    string                   `json:"system"`
	Namespace string                   `json:"netns,omitempty"`
	Options   string                   `json:"options"` // the library's text form, without the switch
	Detection *explain.Seconds         `json:"detection_seconds"`
	Settings  []systemSetting          `json:"settings"`
	BootFiles []sysdefault.BootSetting `json:"boot_files"`

	bootError   error
	explanation *explain.Explanation
}

type systemSetting struct {
	Option string `json:"option"` // a key of OPTIONS, "keepalive" or "retransmissions"
	Value  string `json:"value"`  // as in OPTIONS
	Source string `json:"source"` // a sysctl, a value in the registry, or a text
	Raw    *int64 `json:"raw"`    // of the sysctl or in the registry, in its unit
}

func readSystem() (*systemDefaults, error) {
	o, err := keepalive.SystemDefaults()
	if err != nil && (!errors.Is(err, errors.ErrUnsupported) || o == (keepalive.Options{Disabled: true})) {
		return nil, err
	}
	o.Disabled = false
	h, err := thisHost()
	if err != nil {
		return nil, err
	}
	d := &systemDefaults{System: h.System, Namespace: sysdefault.Namespace(), BootFiles: []sysdefault.BootSetting{}}
	named := o
	if named.UserTimeout == keepalive.NoUserTimeout {
		named.UserTimeout = 0
	}
	d.Options = named.String()
	if d.explanation, err = explainOptions("on", 1); err != nil {
		return nil, err
	}
	d.Detection = d.explanation.Idle.Detection
	d.Settings = readSettings(h, o)
	var names []string
	for _, s := range d.Settings {
		if s.Raw != nil {
			names = append(names, s.Source)
		}
	}
	settings, err := sysdefault.BootSettings(names...)
	d.BootFiles, d.bootError = append(d.BootFiles, settings...), err
	return d, nil
}

// readSettings returns the settings of host h, whose defaults are o.
func readSettings(h explain.Host, o keepalive.Options) []systemSetting {
	const programs = "each program sets it for its own sockets"
	const always = "net.inet.tcp.always_keepalive" // macOS, FreeBSD and DragonFly BSD
	settings := []systemSetting{{"keepalive", "off", programs, nil}}
	if raw, ok, err := sysdefault.Read(always); err == nil && ok {
		settings[0] = systemSetting{"keepalive", map[bool]string{true: "on", false: "off"}[raw != 0], always, &raw}
	}
	for _, s := range []struct {
		option, value string
		known         bool
	}{
		{"idle", text.Duration(o.Idle), o.Idle != 0},
		{"interval", text.Duration(o.Interval), o.Interval != 0},
		{"count", fmt.Sprint(o.Count), o.Count != 0},
	} {
		setting := systemSetting{Option: s.option, Value: s.value, Source: "built in"}
		if !s.known {
			setting.Value = "not known"
		}
		if name := h.Name(s.option); name != "" {
			raw, ok, err := sysdefault.Read(name)
			switch {
			case err == nil && ok:
				setting.Source, setting.Raw = name, &raw
			case runtime.GOOS == "windows":
				setting.Source = "built in (no " + name + " in the registry)"
			}
		}
		settings = append(settings, setting)
	}
	settings = append(settings, systemSetting{"user-timeout", "none", programs, nil})
	const retries = "net.ipv4.tcp_retries2" // limits data in flight if there is no user timeout
	if raw, ok, err := sysdefault.Read(retries); err == nil && ok && h.System == "linux" {
		settings = append(settings, systemSetting{"retransmissions", fmt.Sprint(raw), retries, &raw})
	}
	return settings
}

func (c *systemCommand) show(w io.Writer) error {
	if c.dryRun || c.persist {
		return usagef("--dry-run and --persist need OPTIONS: see keepalive system --help")
	}
	d, err := readSystem()
	if err != nil {
		return err
	}
	if c.output == "json" {
		return writeJSON(w, d)
	}
	b := new(strings.Builder)
	fmt.Fprintf(b, "Defaults for TCP keepalive on %s", d.System)
	if d.Namespace != "" {
		fmt.Fprintf(b, ", network namespace %s", d.Namespace)
	}
	b.WriteString("\n\n")
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, s := range d.Settings {
		source := s.Source
		if s.Raw != nil {
			source += fmt.Sprintf(" = %d", *s.Raw)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", s.Option, s.Value, source)
	}
	tw.Flush()
	x := d.explanation
	b.WriteString("\nWith keepalive on and these values, a dead peer is detected\n\n")
	if x.Idle.Detection != nil {
		fmt.Fprintf(b, "  on an idle connection  after %s\n", text.Duration(time.Duration(*x.Idle.Detection)))
	}
	if x.InFlight.Detection != nil {
		fmt.Fprintf(b, "  with data in flight    after about %s\n", text.Duration(time.Duration(*x.InFlight.Detection)))
	}
	if d.System == "linux" {
		d.writeBootFiles(b)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func (d *systemDefaults) writeBootFiles(b *strings.Builder) {
	if d.bootError != nil {
		fmt.Fprintf(b, "\nNot all files that set them at boot could be read: %v\n", d.bootError)
	}
	if len(d.BootFiles) == 0 {
		b.WriteString("\nNo file sets them at boot.\n")
		return
	}
	b.WriteString("\nFiles that set them at boot:\n\n")
	for _, s := range d.BootFiles {
		var note string
		if !s.Last {
			note = ", set again later"
		} else if now := d.raw(s.Name); now != "" && now != s.Value {
			note = ", not in effect: now " + now
		}
		fmt.Fprintf(b, "  %s:%d\n    %s = %s%s\n", s.File, s.Line, s.Name, s.Value, note)
	}
}

// raw returns the current value of a sysctl.
func (d *systemDefaults) raw(name string) string {
	for _, s := range d.Settings {
		if s.Source == name && s.Raw != nil {
			return fmt.Sprint(*s.Raw)
		}
	}
	return ""
}

// set sets the defaults.
func (c *systemCommand) set(w io.Writer, text string) error {
	if c.output != "text" {
		return usagef("--output %s is only for showing the defaults, without OPTIONS", c.output)
	}
	if c.persist && runtime.GOOS != "linux" {
		return usagef("--persist needs Linux, and this is %s", runtime.GOOS)
	}
	o, err := parseOptions(text)
	if err != nil {
		return err
	}
	h, err := thisHost()
	if err != nil {
		return err
	}
	if h.System == "gvisor" {
		return errors.New("gVisor has no defaults that can be set: its sysctls have no effect")
	}
	if c.file, err = filepath.Abs(c.file); err != nil {
		return err
	}
	changes, err := sysdefault.Plan(o)
	if err != nil {
		return usagef("OPTIONS %q: %w", text, err)
	}
	if c.dryRun {
		err = sysdefault.Check(changes)
	} else {
		err = sysdefault.Apply(changes, func() error {
			if !c.persist {
				return nil
			}
			if err := sysdefault.Persist(c.file, changes); err != nil {
				return fmt.Errorf("cannot write the file of --persist, so no value was changed: %w", err)
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	b := new(strings.Builder)
	c.report(b, o, changes)
	_, err = io.WriteString(w, b.String())
	return err
}

func (c *systemCommand) report(b *strings.Builder, o keepalive.Options, changes []sysdefault.Change) {
	if c.dryRun {
		b.WriteString("This would be set, and nothing was changed:\n\n")
	} else {
		b.WriteString("Set and read back:\n\n")
	}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, change := range changes {
		was := "as before"
		if change.Old != change.New {
			was = "was " + changeText(change, change.Old)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s = %d\n", change.Option, changeText(change, change.New), was, change.Name, change.New)
	}
	tw.Flush()
	fmt.Fprintf(b, "\nA dead peer of an idle connection with these values is detected after %s.\n", text.Duration(o.DetectionTime()))
	switch {
	case c.persist && c.dryRun:
		fmt.Fprintf(b, "\n%s would be written, which sets them at boot.\n", c.file)
	case c.persist:
		c.reportBoot(b, changes)
	default:
		b.WriteString("\nThe values are lost at the next reboot: --persist keeps them.\n")
	}
	b.WriteString(unchangedBySystem)
}

func changeText(c sysdefault.Change, value int64) string {
	if c.Unit == 0 {
		return fmt.Sprint(value)
	}
	return text.Duration(time.Duration(value) * c.Unit)
}

// reportBoot reports whether the file of --persist is in effect at boot.
func (c *systemCommand) reportBoot(b *strings.Builder, changes []sysdefault.Change) {
	var names []string
	for _, change := range changes {
		names = append(names, change.Name)
	}
	settings, err := sysdefault.BootSettings(names...)
	if err != nil {
		fmt.Fprintf(b, "\nNot all files that set values at boot could be read: %v\n", err)
	}
	var read bool
	for _, s := range settings {
		read = read || s.File == c.file
	}
	if !read {
		fmt.Fprintf(b, "\nWarning: %s is written, but nothing reads it at boot. Files in\n/etc/sysctl.d whose names end in .conf are read.\n", c.file)
		return
	}
	fmt.Fprintf(b, "\n%s sets them at boot.\n", c.file)
	for _, s := range settings {
		for _, change := range changes {
			if s.Last && s.Name == change.Name && s.Value != fmt.Sprint(change.New) {
				fmt.Fprintf(b, "Warning: %s:%d sets %s = %s after it.\n", s.File, s.Line, s.Name, s.Value)
			}
		}
	}
}

// unchangedBySystem is what the defaults do not change. TestSystemExistingSockets measures what it
// states about timers.
const unchangedBySystem = `
This does not change

  - sockets without keepalive: each program turns it on (SO_KEEPALIVE)
  - values that a program has set on its sockets, as Go programs do
  - timers that already run: connections that use the defaults report the new
    values at once, but their next probe is not sent earlier than before
  - other network namespaces, for example those of containers

Use keepalive list to see what each connection has, and keepalive set to change
running connections.
`
