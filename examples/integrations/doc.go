// Package integrations shows keepalive with well-known clients and servers. Each folder
// is a program with one or more recipes of docs/recipes.md.
package integrations
