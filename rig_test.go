package keepalive

import (
	"os"
	"strings"
	"testing"
)

// rig is what CI runs the tests on, such as wine8; see .ci/rig.
var rig = os.Getenv("KEEPALIVE_RIG")

// What a rig does differently from the system that it stands for.
var (
	// hostLimits: Wine has the limits of the host, not of Windows.
	hostLimits = strings.HasPrefix(rig, "wine")
	// resetIsEOF: Wine 8 reports a reset as io.EOF.
	resetIsEOF = rig == "wine8"
	// hostErrnos: connect fails with the host's error number, which qemu-user
	// does not translate to the number that MIPS has for it.
	hostErrnos = rig == "mips64le"
)

// needLinuxKernel skips a test of details of the Linux kernel: network namespaces, sysctls,
// /proc/net, and strace.
func needLinuxKernel(t testing.TB) {
	t.Helper()
	if rig == "gvisor" {
		t.Skip("not supported here: gVisor does not have this detail of the Linux kernel")
	}
}
