package compat

import (
	"os"

	"github.com/ilyakaznacheev/cleanenv"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - cleanenv looks into a struct for more variables, before it looks for `UnmarshalText`
//   (`cleanenv.go:337`). There is no error, and the field stays "on" with the system's idle time of
//   two hours. A method `SetValue` does not help. Use a pointer that is not nil.

func init() {
	register(library{
		name:   "cleanenv",
		module: "github.com/ilyakaznacheev/cleanenv",
		area:   "Settings",
		cases: []libraryCase{
			{name: "a field of type Options", config: readCleanenvOptions},
			{name: "a pointer that is not nil", config: readCleanenv},
		},
	})
}

func readCleanenvOptions(text string) (keepalive.Options, error) {
	os.Setenv("CLEANENV_OPTIONS", text)
	defer os.Unsetenv("CLEANENV_OPTIONS")
	var cfg struct {
		Keepalive keepalive.Options `env:"CLEANENV_OPTIONS"`
	}
	err := cleanenv.ReadEnv(&cfg)
	return cfg.Keepalive, err
}

func readCleanenv(text string) (keepalive.Options, error) {
	os.Setenv("CLEANENV_KEEPALIVE", text)
	defer os.Unsetenv("CLEANENV_KEEPALIVE")
	// recipe: Field
	var cfg struct {
		Keepalive *keepalive.Options `env:"CLEANENV_KEEPALIVE"`
	}
	cfg.Keepalive = new(keepalive.Options)
	err := cleanenv.ReadEnv(&cfg)
	// end recipe
	return *cfg.Keepalive, err
}
