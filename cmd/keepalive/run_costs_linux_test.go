package main

import (
	"flag"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var costs = flag.Bool("costs", false, "measure what keepalive run costs, on a machine that has nothing else to do")

// TestRunCosts compares a program with itself under keepalive run, alternately.
func TestRunCosts(t *testing.T) {
	if !*costs {
		t.Skip("not selected: use the flag -costs on an idle machine")
	}
	requirePrograms(t, "gcc")
	program := filepath.Join(t.TempDir(), "cost")
	build(t, exec.Command("gcc", "-Wall", "-O1", "-o", program, "testdata/cost.c"))
	calls := [4]string{"socket", "connect", "socket and connect", "accept"}
	limits := [4]float64{math.Inf(1), 60. / 14, 60. / 14, 1.05}
	for _, options := range []string{"idle=45s", testOptions} {
		var alone, under [4]float64
		for range 10 {
			measure(t, exec.Command(program), &alone)
			measure(t, runCommand(t, self, "--mechanism=seccomp", options, program), &under)
		}
		t.Log(options)
		for i, call := range calls {
			t.Logf("%-18s %6.1f µs alone, %6.1f µs under run, ratio %.2f", call, alone[i]/1000, under[i]/1000, under[i]/alone[i])
			assert.LessOrEqual(t, under[i]/alone[i], limits[i], call)
		}
	}
}

// measure keeps the lowest of several medians.
func measure(t *testing.T, cmd *exec.Cmd, lowest *[4]float64) {
	stdout, stderr, status := output(t, cmd)
	require.Zero(t, status, stderr)
	var ns [4]float64
	_, err := fmt.Sscan(stdout, &ns[0], &ns[1], &ns[2], &ns[3])
	require.NoError(t, err)
	for i := range ns {
		if lowest[i] == 0 || ns[i] < lowest[i] {
			lowest[i] = ns[i]
		}
	}
}
