package keepalive_test

import (
	"os"
	"strings"
)

// rig is what CI runs the tests on, such as wine8; see .ci/rig.
var rig = os.Getenv("KEEPALIVE_RIG")

// What a rig does differently from the system that it replaces.
var (
	// hostLimits: Wine has the limits of the host, not of Windows.
	hostLimits = strings.HasPrefix(rig, "wine")
	// resetIsEOF: Wine 8 reports a reset as io.EOF.
	resetIsEOF = rig == "wine8"
	// hostErrnos: connect fails with the host's error number, which qemu-user
	// does not translate to the number that MIPS has for it.
	hostErrnos = rig == "mips64le"
)

// rigLacks has what a rig does not support, although the system that it replaces does.
var rigLacks = map[string]bool{
	"options":      rig == "wine8", // it has SIO_KEEPALIVE_VALS, without a count
	"Get":          rig == "wine8",
	"user timeout": strings.HasPrefix(rig, "wine"),                                // no TCP_MAXRT
	"Inspect":      strings.HasPrefix(rig, "wine") || rig == "gvisor" || qemuUser, // no SIO_TCP_INFO, no TCP_INFO
}

// qemuUser runs programs for other processors, except 386, which runs natively.
var qemuUser = rig == "arm" || rig == "arm64" || rig == "s390x" || rig == "mips64le" || rig == "riscv64"
