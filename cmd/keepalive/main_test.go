package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// keepaliveCommand runs the command in this process, and returns what it wrote and its exit status.
func keepaliveCommand(args ...string) (stdout, stderr string, status int) {
	var out, errs strings.Builder
	status = run(args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), status
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"unknown"},
		{"--unknown"},
		{"man"},
	} {
		out, errs, status := keepaliveCommand(args...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Regexp(t, `^keepalive: .*: see keepalive.*\n$`, errs, args)
	}
}

func TestHelp(t *testing.T) {
	out, errs, status := keepaliveCommand()
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Contains(t, out, "OPTIONS")
}
