package compat

import (
	"github.com/spf13/pflag"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - `TextVar` reads `Options`.

func init() {
	register(library{
		name:   "pflag",
		module: "github.com/spf13/pflag",
		area:   "Settings",
		cases:  []libraryCase{{config: readPflag}},
	})
}

func readPflag(text string) (o keepalive.Options, err error) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	// recipe: Flag
	flags.TextVar(&o, "keepalive", keepalive.Options{}, "keepalive `settings`, for example idle=45s,interval=5s,count=3")
	// end recipe
	err = flags.Parse([]string{"--keepalive", text})
	return o, err
}
