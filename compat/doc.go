// Package compat has tests only. They run well-known libraries against a dead peer, and write
// what they find to docs/libraries.md.
//
// Each library has a file, which registers it. A comment that begins with "// notes:" has what to
// know about the library, in Markdown. The code between "// recipe: TITLE" and "// end recipe"
// shows how the library takes a Dialer, a ListenConfig or KeepError. Both are in docs/libraries.md.
// To write it, run
//
//	go test -update
//
// Without -update, the tests fail if a fact differs from the document.
package compat
