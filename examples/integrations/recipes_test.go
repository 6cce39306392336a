package integrations

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	inReadme = regexp.MustCompile("(?s)<!-- recipe: ([a-z-]+) -->\n```go\n(.*?)\n```\n")
	inCode   = regexp.MustCompile(`(?s)// recipe: ([a-z-]+)\n(.*?)\n\t*// end recipe`)
)

// TestRecipes holds the README's recipes against the programs here, which are
// compiled and tested.
func TestRecipes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	programs, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	code := map[string]string{}
	for _, p := range programs {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		for _, m := range inCode.FindAllStringSubmatch(string(b), -1) {
			lines := strings.Split(m[2], "\n")
			indent := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], "\t"))]
			for i := range lines {
				lines[i] = strings.TrimPrefix(lines[i], indent)
			}
			code[m[1]] = strings.Join(lines, "\n")
		}
	}
	recipes := inReadme.FindAllStringSubmatch(strings.ReplaceAll(string(readme), "\r\n", "\n"), -1)
	assert.GreaterOrEqual(t, len(recipes), 10)
	for _, m := range recipes {
		assert.Equal(t, code[m[1]], m[2], m[1])
	}
}
