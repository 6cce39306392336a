package compat

import (
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - Without a hook, viper returns an error, because mapstructure expects a map for a struct. Add
//   `TextUnmarshallerHookFunc`. `DecodeHook` replaces viper's own hooks, so name them, too.

func init() {
	register(library{
		name:   "viper",
		module: "github.com/spf13/viper",
		area:   "Settings",
		cases: []libraryCase{
			{name: "without a hook", config: func(text string) (keepalive.Options, error) { return readViper(text) }},
			{name: "with a hook", config: func(text string) (keepalive.Options, error) {
				// recipe: Hook
				hook := viper.DecodeHook(mapstructure.ComposeDecodeHookFunc(
					mapstructure.StringToTimeDurationHookFunc(), // these two are viper's default
					mapstructure.StringToSliceHookFunc(","),
					mapstructure.TextUnmarshallerHookFunc(),
				))
				// end recipe
				return readViper(text, hook)
			}},
		},
	})
}

func readViper(text string, hook ...viper.DecoderConfigOption) (keepalive.Options, error) {
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(strings.NewReader("keepalive: " + text)); err != nil {
		return keepalive.Options{}, err
	}
	// recipe: Field
	var cfg struct {
		Keepalive keepalive.Options
	}
	err := v.Unmarshal(&cfg, hook...)
	// end recipe
	return cfg.Keepalive, err
}
