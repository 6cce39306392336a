package sysdefault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// file returns the file of a sysctl. Of net.ipv4.*, it has the value of the network namespace
// of the thread that opens it.
func file(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// Read returns the value of a sysctl, in its unit. ok is false if there is no such sysctl.
func Read(name string) (value int64, ok bool, err error) {
	b, err := os.ReadFile(file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, reason(name, err)
	}
	value, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return value, err == nil, err
}

// Namespace returns the network namespace of this thread, for example "net:[4026531840]".
func Namespace() string {
	ns, _ := os.Readlink("/proc/thread-self/ns/net")
	return ns
}

// Check sets Old of each change. It returns an error if this process may not make a change.
func Check(changes []Change) error {
	files, err := open(changes)
	for _, f := range files {
		f.Close()
	}
	return err
}

// Apply makes all changes, reads the values back, and calls then. It sets Old of each change. If
// anything fails, it restores the old values.
func Apply(changes []Change, then func() error) (err error) {
	files, err := open(changes)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	tried := 0
	defer func() {
		if err == nil {
			return
		}
		for i := range tried {
			if v, _, rerr := Read(changes[i].Name); rerr == nil && v == changes[i].Old {
				continue
			}
			if rerr := write(files[i], changes[i].Old); rerr != nil {
				err = fmt.Errorf("%w; and %s could not be set back to %d: %w", err, changes[i].Name, changes[i].Old, rerr)
			}
		}
	}()
	for i, c := range changes {
		tried++
		if err := write(files[i], c.New); err != nil {
			return reason(fmt.Sprintf("%s = %d", c.Name, c.New), err)
		}
		v, _, err := Read(c.Name)
		if err == nil && v != c.New {
			err = fmt.Errorf("%s is %d after setting it to %d", c.Name, v, c.New)
		}
		if err != nil {
			return err
		}
	}
	return then()
}

// open opens the sysctls for writing, which checks the rights, and sets Old of each change.
func open(changes []Change) ([]*os.File, error) {
	var files []*os.File
	for i, c := range changes {
		f, err := os.OpenFile(file(c.Name), os.O_WRONLY, 0)
		if err != nil {
			return files, reason(c.Name, err)
		}
		files = append(files, f)
		if changes[i].Old, _, err = Read(c.Name); err != nil {
			return files, err
		}
	}
	return files, nil
}

func write(f *os.File, value int64) error {
	_, err := f.WriteAt([]byte(strconv.FormatInt(value, 10)), 0)
	return err
}

// reason adds to an error what to do.
func reason(what string, err error) error {
	var hint string
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = ": needs root or CAP_NET_ADMIN in this network namespace"
	case errors.Is(err, fs.ErrNotExist):
		hint = ": this kernel does not have the sysctl"
	case errors.Is(err, unix.EROFS):
		hint = ": in a container, set it where the container is started, for example with docker run --sysctl"
	}
	return fmt.Errorf("%s: %w%s", what, cause(err), hint)
}

// cause returns err without the name of a file.
func cause(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
