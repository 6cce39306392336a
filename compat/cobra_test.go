package compat

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - `TextVar` of pflag reads `Options`.

func init() {
	register(library{
		name:   "cobra",
		module: "github.com/spf13/cobra",
		area:   "Settings",
		cases:  []libraryCase{{config: readCobra}},
	})
}

func readCobra(text string) (o keepalive.Options, err error) {
	cmd := &cobra.Command{Use: "test", Run: func(*cobra.Command, []string) {}}
	// recipe: Flag
	cmd.Flags().TextVar(&o, "keepalive", keepalive.Options{}, "keepalive `settings`, for example idle=45s,interval=5s,count=3")
	// end recipe
	cmd.SetArgs([]string{"--keepalive", text})
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	err = cmd.Execute()
	return o, err
}
