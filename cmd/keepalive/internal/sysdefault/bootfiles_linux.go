package sysdefault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// bootFolders are in the order of precedence: a file hides those with the same name in
// later folders. See sysctl.d(5) and sysctl(8), --system.
var bootFolders = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// BootSettings returns the lines that set one of these sysctls at boot, in the order in which
// they are applied.
func BootSettings(names ...string) ([]BootSetting, error) { return bootSettings("", names) }

func bootSettings(root string, names []string) ([]BootSetting, error) {
	files := make(map[string]string) // by base name
	for _, folder := range bootFolders {
		found, err := filepath.Glob(root + folder + "/*.conf")
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if _, hidden := files[filepath.Base(f)]; !hidden {
				files[filepath.Base(f)] = f
			}
		}
	}
	var ordered []string
	for _, base := range slices.Sorted(maps.Keys(files)) {
		ordered = append(ordered, files[base])
	}
	// sysctl --system reads it at the end. Debian links to it from sysctl.d.
	if conf := root + "/etc/sysctl.conf"; !slices.ContainsFunc(ordered, func(f string) bool { return sameFile(f, conf) }) {
		ordered = append(ordered, conf)
	}
	var settings []BootSetting
	var failed error
	for _, f := range ordered {
		b, err := os.ReadFile(f)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				failed = errors.Join(failed, err)
			}
			continue
		}
		n := 0
		for line := range bytes.Lines(b) {
			n++
			key, value, ok := parseLine(string(line))
			if !ok {
				continue
			}
			for _, name := range names {
				if match, err := path.Match(key, strings.ReplaceAll(name, ".", "/")); err == nil && match {
					settings = append(settings, BootSetting{File: strings.TrimPrefix(f, root), Line: n, Name: name, Value: value})
				}
			}
		}
	}
	seen := make(map[string]bool)
	for i := range slices.Backward(settings) {
		settings[i].Last = !seen[settings[i].Name]
		seen[settings[i].Name] = true
	}
	return settings, failed
}

func sameFile(a, b string) bool {
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}

// parseLine parses a line of sysctl.d(5). The key has the form net/ipv4/tcp_keepalive_time, and
// can be a pattern.
func parseLine(line string) (key, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false
	}
	key, value, ok = strings.Cut(line, "=")
	key = strings.TrimPrefix(strings.TrimSpace(key), "-") // "-": failures are ignored
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return key, strings.TrimSpace(value), ok
}

// Persist writes changes to a file of sysctl.d(5). It keeps the other lines of the file.
func Persist(name string, changes []Change) error {
	if err := persist(name, changes); err != nil {
		return fmt.Errorf("%s: %w", name, cause(err)) // without the name of a temporary file
	}
	return nil
}

func persist(name string, changes []Change) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replaceFile(name, merge(nil, changes), 0o644)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return replaceFile(name, merge(old, changes), info.Mode().Perm())
}

// merge returns the contents of a file with changes in the place of the lines that set the same
// sysctls.
func merge(old []byte, changes []Change) []byte {
	var b bytes.Buffer
	set := func(c Change) { fmt.Fprintf(&b, "%s = %d\n", c.Name, c.New) }
	if len(old) == 0 {
		b.WriteString("# TCP keepalive for sockets that do not set their own values.\n")
	}
	rest := slices.Clone(changes)
	for line := range bytes.Lines(old) {
		key, _, ok := parseLine(string(line))
		name := strings.ReplaceAll(key, "/", ".")
		is := func(c Change) bool { return ok && c.Name == name }
		switch i := slices.IndexFunc(rest, is); {
		case i >= 0:
			set(rest[i])
			rest = slices.Delete(rest, i, i+1)
		case slices.ContainsFunc(changes, is): // a second line for it
		default:
			b.Write(bytes.TrimSuffix(line, []byte("\n")))
			b.WriteByte('\n')
		}
	}
	for _, c := range rest {
		set(c)
	}
	return b.Bytes()
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(name string, contents []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".keepalive-*")
	if err != nil {
		return err
	}
	_, err = f.Write(contents)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
