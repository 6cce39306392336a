//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// Settings are what is attached to a cgroup.
type Settings struct {
	Options keepalive.Options

	// AllowOverride lets programs, and settings of cgroups below, choose other values.
	AllowOverride bool
}

// Attachment is a cgroup with settings.
type Attachment struct {
	Dir string // the folder of the cgroup
	Settings
	Counters
}

// ErrNotAttached matches the error of Detach if the cgroup has no settings.
var ErrNotAttached = errors.New("nothing is attached")

// Attach attaches s to the cgroup dir. It replaces what Attach has attached before. Connections
// that are open are not changed.
func Attach(dir string, s Settings) error {
	if err := check(unix.CAP_BPF, unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	cgroup, err := lock(dir)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	return attach(cgroup, s)
}

// attach does the work of Attach. The cgroup is locked.
func attach(cgroup *os.File, s Settings) error {
	name := Name(cgroup.Name())
	old, err := attached(cgroup)
	if err != nil {
		return explain("reading what is attached to "+name, err)
	}
	defer old.Close()
	p, err := load(s)
	if err != nil {
		return explain("loading the eBPF programs", err)
	}
	defer p.Close()
	replaced := old.first()
	for i := range kinds {
		if err := put(cgroup, kinds[i].attach, p[i], replaced[i]); err != nil {
			for i := range i {
				err = errors.Join(err, put(cgroup, kinds[i].attach, replaced[i], p[i]))
			}
			return explain("attaching to "+name, err)
		}
	}
	return nil
}

// Detach removes the settings of the cgroup dir. Connections keep what they have.
func Detach(dir string) error {
	if err := check(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	cgroup, err := lock(dir)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	old, err := attached(cgroup)
	if err != nil {
		return explain("reading what is attached to "+Name(dir), err)
	}
	defer old.Close()
	none := true
	for i, programs := range old {
		for _, p := range programs {
			if err := put(cgroup, kinds[i].attach, nil, p); err != nil {
				return explain("detaching from "+Name(dir), err)
			}
			none = false
		}
	}
	if none {
		return fmt.Errorf("%w to %s", ErrNotAttached, Name(dir))
	}
	return nil
}

// List returns the settings of all cgroups, parents first.
func List() ([]Attachment, error) {
	if err := check(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN); err != nil {
		return nil, err
	}
	mount, err := Mount()
	if err != nil {
		return nil, err
	}
	var list []Attachment
	err = walk(mount, func(dir string) error {
		attachments, err := listOne(dir)
		list = append(list, attachments...)
		return err
	})
	return list, err
}

// Above returns the settings of the cgroups above dir, the outermost first.
func Above(dir string) (above []Attachment, err error) {
	if err := check(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN); err != nil {
		return nil, err
	}
	mount, err := Mount()
	if err != nil {
		return nil, err
	}
	for dir != mount && strings.HasPrefix(dir, mount) {
		dir = filepath.Dir(dir)
		attachments, err := listOne(dir)
		if err != nil {
			return nil, err
		}
		above = append(attachments, above...)
	}
	return above, nil
}

// listOne returns the settings of the cgroup dir, or nil if there is none.
func listOne(dir string) (list []Attachment, err error) {
	cgroup, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer cgroup.Close()
	p, err := attached(cgroup)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, explain("reading what is attached to "+Name(dir), err)
	}
	defer p.Close()
	programs := p[connection]
	if len(programs) == 0 { // Attach or Detach was interrupted
		programs = p[setsockopt]
	}
	for _, program := range programs {
		st, err := readState(program)
		if err != nil {
			return nil, fmt.Errorf("reading the settings of %s: %w", Name(dir), err)
		}
		list = append(list, Attachment{Dir: dir, Settings: st.settings(), Counters: st.Counters})
	}
	return list, nil
}

// lock opens a cgroup, so that no other call of Attach or Detach changes it until it is closed.
func lock(dir string) (*os.File, error) {
	cgroup, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(cgroup.Fd()), unix.LOCK_EX); err != nil {
		cgroup.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return cgroup, nil
}

// put attaches add in the place of remove. Either can be nil.
func put(cgroup *os.File, typ ebpf.AttachType, add, remove *ebpf.Program) error {
	target := int(cgroup.Fd())
	if add == nil {
		return link.RawDetachProgram(link.RawDetachProgramOptions{Target: target, Program: remove, Attach: typ})
	}
	o := link.RawAttachProgramOptions{Target: target, Program: add, Attach: typ, Flags: unix.BPF_F_ALLOW_MULTI}
	if remove != nil {
		o.Anchor = link.ReplaceProgram(remove)
	}
	return link.RawAttachProgram(o)
}

// attachedPrograms are programs of this package, by kind. There is one of each kind, unless an
// earlier process was interrupted.
type attachedPrograms [len(kinds)][]*ebpf.Program

func (a attachedPrograms) first() (p programs) {
	for i, programs := range a {
		if len(programs) > 0 {
			p[i] = programs[0]
		}
	}
	return p
}

func (a attachedPrograms) Close() {
	for _, programs := range a {
		for _, p := range programs {
			p.Close()
		}
	}
}

// attached returns the programs of this package that are attached to the cgroup itself.
func attached(cgroup *os.File) (a attachedPrograms, err error) {
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	for i, kind := range kinds {
		found, err := link.QueryPrograms(link.QueryOptions{Target: int(cgroup.Fd()), Attach: kind.attach})
		if err != nil {
			return a, err
		}
		for _, f := range found.Programs {
			p, err := ebpf.NewProgramFromID(f.ID)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has been detached meanwhile
			}
			if err != nil {
				return a, err
			}
			if info, err := p.Info(); err != nil || info.Name != kind.name {
				p.Close()
				continue
			}
			a[i] = append(a[i], p)
		}
	}
	return a, nil
}

// readState returns the state that p shares with the program of the other kind.
func readState(p *ebpf.Program) (st state, err error) {
	info, err := p.Info()
	if err != nil {
		return st, err
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return st, err
		}
		defer m.Close()
		if info, err := m.Info(); err != nil || info.Name != stateMap {
			continue
		}
		if m.ValueSize() != sizeState {
			return st, errors.New("another version of this command has attached them")
		}
		return st, m.Lookup(uint32(0), &st)
	}
	return st, fmt.Errorf("program %s has no map %s", info.Name, stateMap)
}
