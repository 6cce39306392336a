package compat

import (
	"os"

	"github.com/kelseyhightower/envconfig"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - A field reads `Options`.

func init() {
	register(library{
		name:   "envconfig",
		module: "github.com/kelseyhightower/envconfig",
		area:   "Settings",
		cases:  []libraryCase{{config: readEnvconfig}},
	})
}

func readEnvconfig(text string) (keepalive.Options, error) {
	os.Setenv("COMPAT_KEEPALIVE", text)
	defer os.Unsetenv("COMPAT_KEEPALIVE")
	// recipe: Field
	var cfg struct {
		Keepalive keepalive.Options
	}
	err := envconfig.Process("compat", &cfg) // COMPAT_KEEPALIVE
	// end recipe
	return cfg.Keepalive, err
}
