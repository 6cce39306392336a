package compat

import (
	"github.com/alecthomas/kong"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - A field reads `Options`.

func init() {
	register(library{
		name:   "kong",
		module: "github.com/alecthomas/kong",
		area:   "Settings",
		cases:  []libraryCase{{config: readKong}},
	})
}

func readKong(text string) (keepalive.Options, error) {
	// recipe: Field
	var cli struct {
		Keepalive keepalive.Options `help:"Keepalive settings, for example idle=45s,interval=5s,count=3."`
	}
	parser, err := kong.New(&cli)
	// end recipe
	if err == nil {
		_, err = parser.Parse([]string{"--keepalive", text})
	}
	return cli.Keepalive, err
}
