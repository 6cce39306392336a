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
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
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
		var out, errOut strings.Builder
		assert.Equal(t, 2, run(strings.Fields(args), &out, &errOut), args)
		assert.Contains(t, errOut.String(), want)
		assert.Empty(t, out.String())
	}
	assert.Zero(t, run([]string{"-h"}, io.Discard, io.Discard))
}

// TestMeasureAgain: a promise that is missed gets a second chance, with more
// rounds; one that is then missed by more than the noise stays missed; and one that
// is kept is left alone.
func TestMeasureAgain(t *testing.T) {
	t.Parallel()
	runs := map[string]int{}
	fake := func(name string, values ...float64) part {
		return part{name: name, title: name, run: func(l *lab, s *section) error {
			i := runs[name]
			runs[name]++
			assert.Equal(t, []int{1, 3}[i], l.effort)
			s.promise(promise{what: name, seen: spread{median: values[i], noise: 0.1}, limit: 1})
			return nil
		}}
	}
	l := &lab{effort: 1, notes: io.Discard}
	sections, err := l.measure([]part{fake("kept", 1), fake("unlucky", 1.2, 1), fake("close", 1.05, 1.05), fake("missed", 1.2, 1.2)})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"kept": 1, "unlucky": 2, "close": 2, "missed": 2}, runs)
	missed := which(sections, promise.broken)
	require.Len(t, missed, 1)
	assert.Equal(t, "missed", missed[0].what)
	assert.Equal(t, 1, l.effort)

	_, err = l.measure([]part{{name: "bad", run: func(*lab, *section) error { return errors.New("boom") }}})
	assert.ErrorContains(t, err, "bad: boom")
}
