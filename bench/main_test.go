package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be its own child, as the program is.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-nope":      "-nope",
		"please":     `"please"`,
		"-only (":    "-only",
		"-only nope": `"nope" matches no part`,
	} {
		var stderr strings.Builder
		assert.Equal(t, 2, run(strings.Fields(args), &stderr), args)
		assert.Contains(t, stderr.String(), want)
	}
	assert.Zero(t, run([]string{"-h"}, io.Discard))
}

// TestHold: a missed promise is measured again with more effort. The last
// measurement counts.
func TestHold(t *testing.T) {
	t.Parallel()
	l := &lab{notes: io.Discard}
	for _, c := range []struct {
		name   string
		values []float64 // of the attempts, each ± 0.1; the limit is 1
		broken bool
	}{
		{"kept", []float64{1}, false},
		{"kept at the second attempt", []float64{1.2, 1}, false},
		{"within the noise", []float64{1.05, 1.05, 1.05}, false},
		{"broken", []float64{1.2, 1.2, 1.2}, true},
	} {
		s := &section{}
		var efforts []int
		err := l.hold(s, func(s *section, effort int) error {
			v := c.values[len(efforts)]
			efforts = append(efforts, effort)
			s.say("attempt")
			s.promise(promise{what: c.name, seen: spread{v, v - 0.1, v + 0.1}, limit: 1})
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, []int{1, 3, 3}[:len(c.values)], efforts, c.name)
		require.Len(t, s.promises, 1, c.name)
		assert.Equal(t, c.broken, s.promises[0].broken(), c.name)
		assert.Equal(t, "attempt\n\n", s.text.String(), c.name)
	}
	err := l.hold(&section{}, func(*section, int) error { return errors.New("boom") })
	assert.ErrorContains(t, err, "boom")
}
