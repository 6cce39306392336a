package compat

import (
	"github.com/caarlos0/env/v11"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - A field reads `Options`.

func init() {
	register(library{
		name:   "caarlos0/env",
		module: "github.com/caarlos0/env/v11",
		area:   "Settings",
		cases:  []libraryCase{{config: readEnv}},
	})
}

func readEnv(text string) (keepalive.Options, error) {
	environment := map[string]string{"KEEPALIVE": text}
	// recipe: Field
	var cfg struct {
		Keepalive keepalive.Options `env:"KEEPALIVE"`
	}
	err := env.ParseWithOptions(&cfg, env.Options{Environment: environment}) // or env.Parse(&cfg)
	// end recipe
	return cfg.Keepalive, err
}
