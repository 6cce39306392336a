package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// The main goroutine stays on the first thread, so that the program has the attributes of that
// one, such as PR_SET_PDEATHSIG.
func init() { runtime.LockOSThread() }

// execProgram replaces this process by a program, which it looks up in PATH, as env(1) does. It
// returns only if that fails. The error matches fs.ErrNotExist if there is no such program.
func execProgram(args []string) error {
	if name := args[0]; strings.Contains(name, "/") {
		return fmt.Errorf("%s: %w", name, execFile(name, args))
	}
	err := error(syscall.ENOENT)
	for _, path := range candidates(args[0]) {
		switch e := execFile(path, args); e {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES: // there may be another one
			err = e
		default:
			return fmt.Errorf("%s: %w", path, e)
		}
	}
	return fmt.Errorf("%s: %w", args[0], err)
}

// candidates returns the files that a program's name can mean, as in execvp(3).
func candidates(name string) (paths []string) {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, dir+"/"+name)
	}
	return paths
}

// execFile executes a file. As in execvp(3), a file of unknown format is a shell script.
func execFile(path string, args []string) error {
	err := syscall.Exec(path, args, os.Environ())
	if errors.Is(err, syscall.ENOEXEC) {
		err = syscall.Exec("/bin/sh", append([]string{"sh", path}, args[1:]...), os.Environ())
	}
	return err
}
