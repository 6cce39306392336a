package servers

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

type attributes = syscall.SysProcAttr

// inherit has a child stop when this process is killed and no cleanup runs.
func inherit() *attributes { return &attributes{Pdeathsig: syscall.SIGINT} }

// unprivileged is inherit for a program that refuses to run as root, as
// PostgreSQL does: root runs it as somebody else, who gets the files.
func unprivileged(files ...string) (*attributes, error) {
	attr := inherit()
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := os.Chown(f, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }
