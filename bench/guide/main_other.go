//go:build !linux

// Command guide measures what docs/guide.md states. It needs Linux.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "guide: not supported on %s: the experiments run in network namespaces of Linux\n", runtime.GOOS)
	os.Exit(1)
}
