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
	inDoc  = regexp.MustCompile("(?s)<!-- recipe: ([a-z-]+) -->\n```go\n(.*?)\n```\n")
	inCode = regexp.MustCompile(`(?s)// recipe: ([a-z-]+)\n(.*?)\n\t*// end recipe`)
)

// TestRecipes: docs/recipes.md has the recipes of the programs here, which are compiled
// and tested, and no other Go code.
func TestRecipes(t *testing.T) {
	b, err := os.ReadFile("../../docs/recipes.md")
	require.NoError(t, err)
	doc := strings.ReplaceAll(string(b), "\r\n", "\n")
	programs, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	code := map[string]string{}
	for _, p := range programs {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		for _, m := range inCode.FindAllStringSubmatch(strings.ReplaceAll(string(b), "\r\n", "\n"), -1) {
			lines := strings.Split(m[2], "\n")
			indent := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], "\t"))]
			for i := range lines {
				lines[i] = strings.TrimPrefix(lines[i], indent)
			}
			code[m[1]] = strings.Join(lines, "\n")
		}
	}
	recipes := map[string]string{}
	for _, m := range inDoc.FindAllStringSubmatch(doc, -1) {
		recipes[m[1]] = m[2]
	}
	assert.Equal(t, code, recipes)
	assert.Equal(t, len(code), strings.Count(doc, "```go\n"), "a recipe is not marked, or is there twice")
}
