//go:build linux || windows

// Command rigprobe prints a line about where it really runs, so that a rig in .ci can prove that it is what it claims to be.
package main

import (
	"fmt"
	"runtime"
)

func main() {
	fmt.Printf("rigprobe: %s/%s%s\n", runtime.GOOS, runtime.GOARCH, details())
}
