// Package seccomp sets options on all TCP sockets of a program, without any privilege.
//
// The mechanism is seccomp user notification, see seccomp_unotify(2). A filter in the program
// stops socket(2) for TCP. A supervisor, which is another process, makes the socket, sets the
// options, and gives the program a descriptor of it. Sockets that the program accepts inherit
// the options from the listener. The filter also makes later calls of setsockopt(2) for these
// options return 0 without an effect.
//
// The program has the process of the command, as with env(1). [Start] installs the filter, and the
// command then executes the program. So that the supervisor is not a child of the program, another
// process starts it and ends at once.
//
// The supervisor has a child, the standby. If the supervisor ends, the standby takes its place and
// starts another standby. Without a supervisor, socket(2) would fail with ENOSYS. Both have their
// own session, so that no signal to a process group ends both.
//
//	Start              the program's process: filter, self-test
//	 └ detach          ends at once
//	    └ supervise    answers system calls until the program and its children have ended
//	       └ standby   waits for the end of its parent
package seccomp
