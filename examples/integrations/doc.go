// Package integrations holds keepalive with well-known clients and servers: a
// program in each folder, whose recipe stands in the project's README.
package integrations
