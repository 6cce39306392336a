package main

import (
	"errors"
	"time"
)

// measureSizes measures the loads at each size that fits into this machine. It
// returns their usage by name and size.
func measureSizes(l *lab, s *section, all []load, sizes []int, every time.Duration, win windows) (map[string]map[int]*usage, error) {
	seen := map[string]map[int]*usage{}
	for _, k := range all {
		seen[k.name] = map[int]*usage{}
	}
	for _, n := range sizes {
		l.note("%s at once", grouped(n))
		found, err := measureLoads(all, n, every, win)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, errTooSlow) && !l.short {
			s.lacks(grouped(n)+" at once", err)
			continue
		} else if err != nil {
			return nil, err
		}
		for name, u := range found {
			seen[name][n] = u
		}
	}
	return seen, nil
}

// usageTables writes the tables of processor time and memory.
func usageTables(s *section, all []load, sizes []int, seen map[string]map[int]*usage) {
	cpuHead, memoryHead := []string{"% of one core"}, []string{"bytes for each"}
	for _, n := range sizes {
		cpuHead, memoryHead = append(cpuHead, grouped(n)), append(memoryHead, grouped(n))
	}
	var cpu, memory [][]string
	for _, k := range all {
		c, m := []string{k.name}, []string{k.name}
		for _, n := range sizes {
			if u := seen[k.name][n]; u != nil {
				c, m = append(c, spreadOf(u.CPU).times(100).String()), append(m, grouped(int(u.Bytes+0.5)))
			} else {
				c, m = append(c, "–"), append(m, "–")
			}
		}
		cpu, memory = append(cpu, c), append(memory, m)
	}
	s.table(cpuHead, cpu)
	s.table(memoryHead, memory)
}

func usageChart(title string, all []load, sizes []int, seen map[string]map[int]*usage) *chart {
	c := &chart{
		title: title, desc: "Processor time of heartbeats by the number of peers, one line for each way",
		x: axis{label: "peers", log: true}, y: axis{label: "% of one core", log: true},
	}
	for _, n := range sizes {
		c.x.ticks = append(c.x.ticks, float64(n))
	}
	for _, k := range all {
		cu := curve{name: k.name, color: colors[k.name]}
		for _, n := range sizes {
			if u := seen[k.name][n]; u != nil {
				cu.x, cu.y = append(cu.x, float64(n)), append(cu.y, spreadOf(u.CPU).times(100))
			}
		}
		c.curves = append(c.curves, cu)
	}
	c.y.ticks = decades(c.curves)
	return c
}
