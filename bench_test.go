package keepalive

import (
	"net"
	"testing"
	"time"
)

func benchConn(b *testing.B) *net.TCPConn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); l.Close() })
	return c.(*net.TCPConn)
}

func BenchmarkEnable(b *testing.B) {
	c := benchConn(b)
	var conn net.Conn = c
	b.Run("keepalive", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Enable(conn, Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("net", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3})
		}
	})
	b.Run("bare", func(b *testing.B) {
		rc, _ := c.SyscallConn()
		rc.Control(func(fd uintptr) {
			for b.Loop() {
				k := sockets{}
				k.set(fd, 1, 9, 1)
				k.set(fd, 6, 4, 45)
				k.set(fd, 6, 5, 5)
				k.set(fd, 6, 6, 3)
			}
		})
	})
}
func BenchmarkGet(b *testing.B) {
	var conn net.Conn = benchConn(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Get(conn); err != nil {
			b.Fatal(err)
		}
	}
}
