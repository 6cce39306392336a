package main

import (
	"errors"
	"time"
)

// usages measures the loads with n peers each. It returns nil if this machine
// cannot run them.
func (l *lab) usages(s *section, all []load, n int, every time.Duration, win windows) (map[string]*usage, error) {
	for attempt := 1; ; attempt++ {
		l.note("%s at once", grouped(n))
		seen, err := measureLoads(all, n, every, win)
		switch {
		case err == nil:
			return seen, nil
		case errors.Is(err, errTooSlow) && attempt < attempts:
			l.note("attempt %d: %v", attempt, err)
		case errors.Is(err, errTooSlow) && !l.short, errors.Is(err, errors.ErrUnsupported):
			s.lacks(grouped(n)+" at once", err)
			return nil, nil
		default:
			return nil, err
		}
	}
}

// usageTables writes the tables of processor time and memory by the number of
// peers.
func (s *section) usageTables(all []load, sizes []int, seen map[int]map[string]*usage) {
	cpuHead, memoryHead := []string{"% of one core"}, []string{"bytes for each peer"}
	for _, n := range sizes {
		cpuHead, memoryHead = append(cpuHead, grouped(n)+" peers"), append(memoryHead, grouped(n)+" peers")
	}
	var cpu, memory [][]string
	for _, k := range all {
		c, m := []string{k.name}, []string{k.name}
		for _, n := range sizes {
			if u := seen[n][k.name]; u != nil {
				c, m = append(c, u.cores()), append(m, u.memory())
			} else {
				c, m = append(c, "–"), append(m, "–")
			}
		}
		cpu, memory = append(cpu, c), append(memory, m)
	}
	s.table(cpuHead, cpu)
	s.table(memoryHead, memory)
}

// cores is the processor time as text, in % of one core.
func (u *usage) cores() string { return spreadOf(u.CPU).times(100).String() }

// memory is the bytes for each peer as text.
func (u *usage) memory() string { return grouped(int(u.Bytes + 0.5)) }

// usageChart shows the processor time by the number of peers.
func usageChart(title string, all []load, sizes []int, seen map[int]map[string]*usage) *chart {
	c := &chart{
		title: title, desc: "Lines: the processor time of heartbeats by the number of peers",
		x: axis{label: "peers", log: true}, y: axis{label: "% of one core", log: true},
	}
	for _, n := range sizes {
		c.x.ticks = append(c.x.ticks, float64(n))
	}
	for _, k := range all {
		cu := curve{name: k.name, color: colors[k.name]}
		for _, n := range sizes {
			if u := seen[n][k.name]; u != nil {
				cu.x, cu.y = append(cu.x, float64(n)), append(cu.y, spreadOf(u.CPU).times(100))
			}
		}
		c.curves = append(c.curves, cu)
	}
	c.y.ticks = decades(c.curves)
	return c
}
