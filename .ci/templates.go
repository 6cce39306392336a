//go:build ignore

// Templates checks the issue templates in a folder, because GitHub does not show one that has a mistake.
// Run it in the folder of the main module, whose tests require the yaml package.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

type form struct {
	Name        string
	Description string
	Labels      []string
	Body        []field
}

type field struct {
	Type       string
	ID         string
	Attributes struct {
		Label       string
		Description string
		Render      string
	}
	Validations struct{ Required bool }
}

type config struct {
	Blank bool `yaml:"blank_issues_enabled"`
	Links []struct {
		Name, URL, About string
	} `yaml:"contact_links"`
}

func main() {
	log.SetFlags(0)
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.yml"))
	if err != nil {
		log.Fatal(err)
	}
	if len(files) < 2 {
		log.Fatalf("%s: %d files, want config.yml and templates", os.Args[1], len(files))
	}
	for _, f := range files {
		if err := check(f); err != nil {
			log.Fatalf("%s: %v", f, err)
		}
	}
}

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if filepath.Base(file) == "config.yml" {
		var c config
		if err := d.Decode(&c); err != nil {
			return err
		}
		for i, l := range c.Links {
			if l.Name == "" || l.URL == "" || l.About == "" {
				return fmt.Errorf("contact_links[%d]: name, url and about are required", i)
			}
		}
		return nil
	}
	var f form
	if err := d.Decode(&f); err != nil {
		return err
	}
	if f.Name == "" || f.Description == "" || len(f.Body) == 0 {
		return fmt.Errorf("name, description and body are required")
	}
	ids := map[string]bool{}
	for i, b := range f.Body {
		if b.Type != "textarea" && b.Type != "input" {
			return fmt.Errorf("body[%d]: type %q: must be textarea or input", i, b.Type)
		}
		if b.ID == "" || ids[b.ID] || b.Attributes.Label == "" {
			return fmt.Errorf("body[%d]: a unique id and a label are required", i)
		}
		ids[b.ID] = true
	}
	return nil
}
