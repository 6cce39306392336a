//go:build linux

package cgroup

import (
	"fmt"
	"math"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/go-keepalive/keepalive"
)

// sockOpts are the socket options of keepalive.Options, in the order in which the programs set them.
// SO_KEEPALIVE is last, so that the timer starts with the right times.
var sockOpts = [...]struct{ level, opt int32 }{
	idle:        {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	interval:    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	count:       {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	userTimeout: {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	keepAlive:   {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
}

const (
	idle = iota
	interval
	count
	userTimeout
	keepAlive
)

// state is the value of the map that both programs share. The programs have the settings as
// constants, and count. List reads it.
type state struct {
	Layout        uint32 // stateLayout
	AllowOverride uint32 // 0 or 1
	Named         uint32 // bit i: the settings have a value for sockOpts[i]
	Values        [len(sockOpts)]uint32
	Counters
}

// stateLayout is the version of the layout of state. It must change if state does.
const stateLayout = 1

// Offsets of the counters in state.
const (
	offsetConnections = 32
	offsetIgnored     = 40
	offsetFailed      = 48
	sizeState         = 56
)

// Counters count since the settings were attached.
type Counters struct {
	Connections uint64 // connections on which the settings were set
	Ignored     uint64 // setsockopt calls of programs that had no effect
	Failed      uint64 // options that could not be set or, with AllowOverride, calls that could not be recorded
}

func newState(s Settings) state {
	st := state{Layout: stateLayout}
	if s.AllowOverride {
		st.AllowOverride = 1
	}
	set := func(i int, v uint32) {
		st.Named |= 1 << i
		st.Values[i] = v
	}
	o := s.Options
	if o.Idle != 0 {
		set(idle, units(o.Idle, time.Second))
	}
	if o.Interval != 0 {
		set(interval, units(o.Interval, time.Second))
	}
	if o.Count != 0 {
		set(count, uint32(o.Count))
	}
	switch o.UserTimeout {
	case 0:
	case keepalive.NoUserTimeout:
		set(userTimeout, 0)
	default:
		set(userTimeout, units(o.UserTimeout, time.Millisecond))
	}
	if o.Disabled {
		set(keepAlive, 0)
	} else {
		set(keepAlive, 1)
	}
	return st
}

// units returns d in units, rounded up as the library does.
func units(d, unit time.Duration) uint32 {
	n := d / unit
	if d%unit != 0 {
		n++
	}
	return uint32(min(n, math.MaxInt32))
}

func (st state) settings() Settings {
	o := keepalive.Options{
		Idle:     time.Duration(st.Values[idle]) * time.Second,
		Interval: time.Duration(st.Values[interval]) * time.Second,
		Count:    int(st.Values[count]),
		Disabled: st.Values[keepAlive] == 0,
	}
	if st.named(userTimeout) {
		o.UserTimeout = time.Duration(st.Values[userTimeout]) * time.Millisecond
		if o.UserTimeout == 0 {
			o.UserTimeout = keepalive.NoUserTimeout
		}
	}
	return Settings{Options: o, AllowOverride: st.AllowOverride != 0}
}

func (st state) named(i int) bool { return st.Named&(1<<i) != 0 }

// The two kinds of programs. They are attached in this order.
const (
	setsockopt = iota // runs before each setsockopt call
	connection        // runs when a connection is established, and sets the options
)

// kinds has the names by which the programs are found again.
var kinds = [...]struct {
	name   string
	attach ebpf.AttachType
}{
	setsockopt: {"keepalive_set", ebpf.AttachCGroupSetsockopt},
	connection: {"keepalive_conn", ebpf.AttachCGroupSockOps},
}

const stateMap = "keepalive"

// programs has one program of each kind.
type programs [len(kinds)]*ebpf.Program

func (p programs) Close() {
	for _, program := range p {
		if program != nil {
			program.Close()
		}
	}
}

// load loads the programs for s.
func load(s Settings) (p programs, err error) {
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	// Before Linux 5.11, maps and programs count as locked memory.
	var limit unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, &limit) == nil {
		defer unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &limit, nil)
	}
	st := newState(s)
	shared, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: stateMap, Type: ebpf.Array, KeySize: 4, ValueSize: sizeState, MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: st}},
	})
	if err != nil {
		return p, err
	}
	defer shared.Close()
	var chosen *ebpf.Map // for each socket, the options that its program has set
	if s.AllowOverride {
		u32 := &btf.Int{Name: "unsigned int", Size: 4}
		chosen, err = ebpf.NewMap(&ebpf.MapSpec{
			Name: "keepalive_own", Type: ebpf.SkStorage, KeySize: 4, ValueSize: 4, Key: u32, Value: u32,
			Flags: unix.BPF_F_NO_PREALLOC | unix.BPF_F_CLONE, // accepted connections have a copy of the listener's value
		})
		if err != nil {
			return p, err
		}
		defer chosen.Close()
	}
	spec := func(kind int, typ ebpf.ProgramType, instructions asm.Instructions) *ebpf.ProgramSpec {
		return &ebpf.ProgramSpec{
			Name: kinds[kind].name, Type: typ, AttachType: kinds[kind].attach, License: "MIT", Instructions: instructions,
			// For processors that need it, values are aligned, but the verifier cannot deduce that.
			Flags: unix.BPF_F_ANY_ALIGNMENT,
		}
	}
	if p[connection], err = ebpf.NewProgram(spec(connection, ebpf.SockOps, connectionInstructions(st, shared, chosen))); err != nil {
		return p, err
	}
	set := ignoreInstructions(st, shared)
	if s.AllowOverride {
		set = chosenInstructions(st, shared, chosen)
	}
	p[setsockopt], err = ebpf.NewProgram(spec(setsockopt, ebpf.CGroupSockopt, set))
	return p, err
}

// Offsets in struct bpf_sock_ops, struct bpf_sockopt and struct bpf_sock of linux/bpf.h.
const (
	opsOp    = 0
	opsReply = 4
	opsSock  = 184

	sockoptSock    = 0
	sockoptValue   = 8
	sockoptEnd     = 16
	sockoptLevel   = 24
	sockoptOptname = 28
	sockoptOptlen  = 32

	sockProtocol = 12
)

const (
	opActiveEstablished  = 4 // BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
	opPassiveEstablished = 5 // BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
)

// replyMark is in the upper bytes of the field reply of struct bpf_sock_ops. The lower byte has
// a bit for each option that is set already. The kernel runs the programs of a cgroup before
// those of the cgroups above, all with the same struct, and does not use reply for these events.
// So settings that allow overrides can leave alone what a cgroup below has set. Others replace it.
const replyMark = 0x6b656500

// connectionInstructions returns a program that sets the options when a connection is established.
func connectionInstructions(st state, shared, chosen *ebpf.Map) asm.Instructions {
	const ctx, done, failed = asm.R6, asm.R7, asm.R8
	var a assembler
	a.add(
		asm.Mov.Reg(ctx, asm.R1),
		asm.LoadMem(asm.R1, ctx, opsOp, asm.Word),
		asm.JEq.Imm(asm.R1, opActiveEstablished, "established"),
		asm.JNE.Imm(asm.R1, opPassiveEstablished, "exit"),
	)
	a.label("established")
	a.add(
		asm.Mov.Imm(failed, 0),
		asm.LoadMem(done, ctx, opsReply, asm.Word),
		asm.Mov.Reg(asm.R1, done),
		asm.And.Imm(asm.R1, ^0xff),
		asm.JEq.Imm(asm.R1, replyMark, "marked"),
		asm.Mov.Imm(done, replyMark),
	)
	a.label("marked")
	if st.AllowOverride != 0 {
		a.add(
			asm.LoadMem(asm.R2, ctx, opsSock, asm.DWord),
			asm.JEq.Imm(asm.R2, 0, "set"),
			asm.LoadMapPtr(asm.R1, chosen.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnSkStorageGet.Call(),
			asm.JEq.Imm(asm.R0, 0, "set"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
			asm.Or.Reg(done, asm.R1),
		)
		a.label("set")
	}
	for i, opt := range sockOpts {
		if !st.named(i) {
			continue
		}
		next, success := fmt.Sprint("next", i), fmt.Sprint("success", i)
		if st.AllowOverride != 0 {
			a.add(
				asm.Mov.Reg(asm.R1, done),
				asm.And.Imm(asm.R1, 1<<i),
				asm.JNE.Imm(asm.R1, 0, next),
			)
		}
		a.add(
			asm.StoreImm(asm.RFP, -4, int64(st.Values[i]), asm.Word),
			asm.Mov.Reg(asm.R1, ctx),
			asm.Mov.Imm(asm.R2, opt.level),
			asm.Mov.Imm(asm.R3, opt.opt),
			asm.Mov.Reg(asm.R4, asm.RFP),
			asm.Add.Imm(asm.R4, -4),
			asm.Mov.Imm(asm.R5, 4),
			asm.FnSetsockopt.Call(),
			asm.JEq.Imm(asm.R0, 0, success),
			asm.Add.Imm(failed, 1),
			asm.Ja.Label(next),
		)
		a.label(success)
		a.add(asm.Or.Imm(done, 1<<i))
		a.label(next)
	}
	a.add(asm.StoreMem(ctx, opsReply, done, asm.Word))
	a.count(shared, offsetConnections)
	a.add(
		asm.JEq.Imm(failed, 0, "exit"),
		asm.LoadMapValue(asm.R1, shared.FD(), offsetFailed),
		asm.StoreXAdd(asm.R1, failed, asm.DWord),
	)
	return a.exit()
}

// ignoreInstructions returns a program that replaces the value of a named option by the value of
// the settings, before the kernel sets it. The call succeeds. That is better than to skip the
// call, because it is also right for sockets that do not have the settings yet, such as the
// connections that were open before.
func ignoreInstructions(st state, shared *ebpf.Map) asm.Instructions {
	const ctx, value, ours = asm.R6, asm.R7, asm.R8
	a := forNamed(st, ctx, func(a *assembler, i int) {
		a.add(
			asm.LoadMem(asm.R1, ctx, sockoptOptlen, asm.Word),
			asm.JSLT.Imm32(asm.R1, 4, "exit"), // too short: the kernel returns EINVAL
			asm.LoadMem(asm.R2, ctx, sockoptValue, asm.DWord),
			asm.LoadMem(asm.R3, ctx, sockoptEnd, asm.DWord),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 4),
			asm.JGT.Reg(asm.R4, asm.R3, "exit"),
			asm.LoadMem(value, asm.R2, 0, asm.Word),
			asm.Mov.Imm(ours, int32(st.Values[i])),
		)
		if i == keepAlive {
			a.add(asm.JEq.Imm(value, 0, "replace"), asm.Mov.Imm(value, 1))
		}
		a.add(asm.Ja.Label("replace"))
	})
	a.label("replace")
	a.add(
		asm.JEq.Reg(value, ours, "exit"),
		asm.StoreMem(asm.R2, 0, ours, asm.Word),
		asm.Mov.Imm(asm.R1, 4),
		asm.StoreMem(ctx, sockoptOptlen, asm.R1, asm.Word),
	)
	a.count(shared, offsetIgnored)
	return a.exit()
}

// chosenInstructions returns a program that records which of the named options a program sets.
func chosenInstructions(st state, shared, chosen *ebpf.Map) asm.Instructions {
	const ctx, bit = asm.R6, asm.R7
	a := forNamed(st, ctx, func(a *assembler, i int) {
		a.add(asm.Mov.Imm(bit, 1<<i), asm.Ja.Label("record"))
	})
	a.label("record")
	a.add(
		asm.LoadMapPtr(asm.R1, chosen.FD()),
		asm.LoadMem(asm.R2, ctx, sockoptSock, asm.DWord),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, unix.BPF_SK_STORAGE_GET_F_CREATE),
		asm.FnSkStorageGet.Call(),
		asm.JEq.Imm(asm.R0, 0, "failed"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.Or.Reg(asm.R1, bit),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.Word),
		asm.Ja.Label("exit"),
	)
	a.label("failed")
	a.count(shared, offsetFailed)
	return a.exit()
}

// forNamed returns the beginning of a program for setsockopt calls. It runs the instructions of
// do if the call sets the named option i of a TCP or MPTCP socket, and otherwise jumps to exit.
func forNamed(st state, ctx asm.Register, do func(a *assembler, i int)) *assembler {
	const level, opt = asm.R4, asm.R5
	a := new(assembler)
	a.add(
		asm.Mov.Reg(ctx, asm.R1),
		asm.LoadMem(asm.R1, ctx, sockoptSock, asm.DWord),
		asm.LoadMem(asm.R1, asm.R1, sockProtocol, asm.Word),
		asm.JEq.Imm(asm.R1, unix.IPPROTO_TCP, "tcp"),
		asm.JNE.Imm(asm.R1, unix.IPPROTO_MPTCP, "exit"),
	)
	a.label("tcp")
	a.add(
		asm.LoadMem(level, ctx, sockoptLevel, asm.Word),
		asm.LoadMem(opt, ctx, sockoptOptname, asm.Word),
	)
	for i, o := range sockOpts {
		if !st.named(i) {
			continue
		}
		next := fmt.Sprint("next", i)
		a.add(asm.JNE.Imm(level, o.level, next), asm.JNE.Imm(opt, o.opt, next))
		do(a, i)
		a.label(next)
	}
	a.add(asm.Ja.Label("exit"))
	return a
}

// assembler collects instructions. A label stands for the instruction that is added next.
type assembler struct {
	instructions asm.Instructions
	next         string
}

func (a *assembler) label(name string) {
	if a.next != "" { // an instruction has one label
		a.add(asm.Mov.Reg(asm.R6, asm.R6))
	}
	a.next = name
}

func (a *assembler) add(instructions ...asm.Instruction) {
	if a.next != "" {
		instructions[0] = instructions[0].WithSymbol(a.next)
		a.next = ""
	}
	a.instructions = append(a.instructions, instructions...)
}

// count adds 1 to the counter at offset.
func (a *assembler) count(shared *ebpf.Map, offset uint32) {
	a.add(
		asm.LoadMapValue(asm.R1, shared.FD(), offset),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
	)
}

// exit ends the program with 1, which means that the kernel goes on.
func (a *assembler) exit() asm.Instructions {
	a.label("exit")
	a.add(asm.Mov.Imm(asm.R0, 1), asm.Return())
	return a.instructions
}
