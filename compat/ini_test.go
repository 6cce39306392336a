package compat

import (
	"gopkg.in/ini.v1"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - ini.v1 takes a struct for a section, and does not look for `UnmarshalText` (`struct.go:616`).
//   There is no error, and the field stays "on" with the system's idle time of two hours. Read the
//   key as text.

func init() {
	register(library{
		name:   "ini.v1",
		module: "gopkg.in/ini.v1",
		area:   "Settings",
		cases: []libraryCase{
			{name: "a field of type Options", config: readIniOptions},
			{name: "the text of the key", config: readIni},
		},
	})
}

func readIniOptions(text string) (keepalive.Options, error) {
	var cfg struct {
		Keepalive keepalive.Options `ini:"keepalive"`
	}
	file, err := ini.Load([]byte("keepalive = " + text))
	if err == nil {
		err = file.MapTo(&cfg)
	}
	return cfg.Keepalive, err
}

func readIni(text string) (o keepalive.Options, err error) {
	file, err := ini.Load([]byte("keepalive = " + text))
	if err != nil {
		return o, err
	}
	// recipe: Key
	err = o.UnmarshalText([]byte(file.Section("").Key("keepalive").String()))
	// end recipe
	return o, err
}
