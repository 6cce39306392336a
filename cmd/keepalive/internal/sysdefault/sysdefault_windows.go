package sysdefault

import (
	"errors"

	"golang.org/x/sys/windows/registry"
)

// Read returns a value of the registry, in its unit. If ok is false, there is no such value, and the
// default of Windows is in effect.
func Read(name string) (value int64, ok bool, err error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, registryKey, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer k.Close()
	v, _, err := k.GetIntegerValue(name)
	if errors.Is(err, registry.ErrNotExist) {
		return 0, false, nil
	}
	return int64(v), err == nil, err
}
