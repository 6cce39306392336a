package main

import (
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man FOLDER",
		Short:   "Write the man pages to a folder",
		Example: "  keepalive man /usr/local/share/man/man1",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			root.CompletionOptions.DisableDefaultCmd = true
			for _, c := range root.Commands() {
				if c.Name() == "completion" {
					root.RemoveCommand(c)
				}
			}
			indentLists(root)
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			header := &doc.GenManHeader{Section: "1", Source: "keepalive"}
			if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
				date := time.Unix(s, 0).UTC() // package doc would use the local time zone
				header.Date = &date
			}
			return doc.GenManTree(root, header, args[0])
		},
	}
}

var listLine = regexp.MustCompile(`(?m)^  `)

// indentLists makes lists and tables of the help texts code blocks of Markdown, which package
// doc expects. Otherwise their lines would be filled.
func indentLists(cmd *cobra.Command) {
	cmd.Long = listLine.ReplaceAllString(cmd.Long, "    ")
	for _, c := range cmd.Commands() {
		indentLists(c)
	}
}
