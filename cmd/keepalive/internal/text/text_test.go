package text

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWrap(t *testing.T) {
	a, b := strings.Repeat("a", 60), strings.Repeat("b", 14)
	assert.Equal(t, "- é "+a+" "+b+"\n", Wrap("- é ", a+"  "+b, Width), "79 columns")
	assert.Equal(t, "- é "+a+"\n    "+b+"b c\n", Wrap("- é ", a+" "+b+"b\nc", Width))
	assert.Equal(t, a+a+"\nc\n", Wrap("", a+a+" c", Width), "a long word")
	assert.Equal(t, "\n", Wrap("", "", Width))
}

func TestDuration(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"0s":      0,
		"999ns":   999,
		"2ms":     1600 * time.Microsecond,
		"120ms":   123 * time.Millisecond,
		"52.5s":   52500 * time.Millisecond,
		"1m":      time.Minute + 40*time.Millisecond,
		"15m33s":  933 * time.Second,
		"10m":     10*time.Minute + 400*time.Millisecond,
		"2h":      2 * time.Hour,
		"2h0m1s":  2*time.Hour + time.Second,
		"9h6m7s":  32767 * time.Second,
		"5 days":  120 * time.Hour,
		"48h30m":  48*time.Hour + 30*time.Minute + 20*time.Second,
		"-1m":     -time.Minute,
		"1m59.9s": 119900 * time.Millisecond,
	} {
		assert.Equal(t, text, Duration(d))
	}
}
