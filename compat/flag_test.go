package compat

import (
	"flag"
	"io"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - `TextVar` reads `Options`. The usage message shows the default as text, for example "on".

func init() {
	register(library{
		name:   "flag",
		module: "std",
		area:   "Settings",
		cases:  []libraryCase{{config: readFlag}},
	})
}

func readFlag(text string) (o keepalive.Options, err error) {
	flag := flag.NewFlagSet("test", flag.ContinueOnError)
	flag.SetOutput(io.Discard)
	// recipe: Flag
	flag.TextVar(&o, "keepalive", keepalive.Options{}, "keepalive `settings`, for example idle=45s,interval=5s,count=3")
	// end recipe
	err = flag.Parse([]string{"-keepalive", text})
	return o, err
}
