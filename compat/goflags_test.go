package compat

import (
	"github.com/jessevdk/go-flags"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - go-flags takes a struct for a group of flags, and does not look for `UnmarshalText`
//   (`group.go:236`). It accepts the flag without an error, and the field stays "on" with the
//   system's idle time of two hours. Give the type a method `UnmarshalFlag`.

func init() {
	register(library{
		name:   "go-flags",
		module: "github.com/jessevdk/go-flags",
		area:   "Settings",
		cases: []libraryCase{
			{name: "a field of type Options", config: readGoFlagsOptions},
			{name: "a wrapper", config: readGoFlags},
		},
	})
}

func readGoFlagsOptions(text string) (keepalive.Options, error) {
	var cfg struct {
		Keepalive keepalive.Options `long:"keepalive"`
	}
	_, err := flags.NewParser(&cfg, flags.None).ParseArgs([]string{"--keepalive=" + text})
	return cfg.Keepalive, err
}

// recipe: Wrapper
type flagOptions struct{ keepalive.Options }

func (o *flagOptions) UnmarshalFlag(value string) error { return o.UnmarshalText([]byte(value)) }

// end recipe

func readGoFlags(text string) (keepalive.Options, error) {
	var cfg struct {
		Keepalive flagOptions `long:"keepalive"`
	}
	_, err := flags.NewParser(&cfg, flags.None).ParseArgs([]string{"--keepalive=" + text})
	return cfg.Keepalive.Options, err
}
