package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	name := args[0]
	if strings.Contains(name, "/") {
		return fmt.Errorf("%s: %w", name, execFile(name, args))
	}
	err := error(syscall.ENOENT)
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if dir == "" {
			dir = "."
		}
		switch e := execFile(dir+"/"+name, args); e {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES: // there may be another one
			err = e
		default:
			return fmt.Errorf("%s/%s: %w", dir, name, e)
		}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// execFile executes a file. As in execvp(3), a file of unknown format is a shell script.
func execFile(path string, args []string) error {
	err := syscall.Exec(path, args, os.Environ())
	if errors.Is(err, syscall.ENOEXEC) {
		err = syscall.Exec("/bin/sh", append([]string{"sh", path}, args[1:]...), os.Environ())
	}
	return err
}
