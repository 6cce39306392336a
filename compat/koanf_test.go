package compat

import (
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - A field reads `Options`. koanf has the hook for `UnmarshalText` by default.

func init() {
	register(library{
		name:   "koanf",
		module: "github.com/knadh/koanf/v2",
		area:   "Settings",
		cases:  []libraryCase{{config: readKoanf}},
	})
}

func readKoanf(text string) (keepalive.Options, error) {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(map[string]any{"keepalive": text}, "."), nil); err != nil {
		return keepalive.Options{}, err
	}
	// recipe: Field
	var cfg struct {
		Keepalive keepalive.Options `koanf:"keepalive"`
	}
	err := k.Unmarshal("", &cfg)
	// end recipe
	return cfg.Keepalive, err
}
