package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/programtest"
)

// TestListAndSetPrograms lists and changes the connections of real programs, and compares the result with
// what the kernel reports for each descriptor.
func TestListAndSetPrograms(t *testing.T) {
	programtest.NeedRoot(t)
	for _, p := range programtest.Programs {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			pids := withDescendants(t, startProgram(t, p, syscall.SysProcAttr{})...)
			flags := []string{"--state", "established"}
			for _, pid := range pids {
				flags = append(flags, "--pid", strconv.Itoa(pid))
			}
			want := make(map[string]int)
			for _, c := range connectionsOf(t, pids...) {
				want[c.options.String()]++
			}
			got := make(map[string]int)
			for line := range strings.Lines(command(t, flags, "list", "-o", "json")) {
				var s socketJSON
				require.NoError(t, json.Unmarshal([]byte(line), &s))
				require.NotNil(t, s.Options)
				got[*s.Options] += len(s.PIDs)
			}
			assert.Equal(t, want, got)

			const options = "idle=1m17s,interval=7s,count=5,user-timeout=1m17s"
			command(t, flags, "set", options)
			connections := connectionsOf(t, pids...)
			for _, c := range connections {
				assert.Equal(t, options, c.options.String(), c.String())
			}
			assert.GreaterOrEqual(t, len(connections), p.Connections)
		})
	}
}
