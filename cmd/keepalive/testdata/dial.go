// Command dial opens and closes connections to the server at its argument, in 4 goroutines, until
// its input ends. It writes the number of connections, and each one that failed or that does not
// have SO_KEEPALIVE and TCP_KEEPIDLE 4321.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

func main() {
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	var connections atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !ended.Load() {
				if err := dial(os.Args[1]); err != nil {
					fmt.Println(err)
				}
				connections.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Println(connections.Load(), "connections")
}

func dial(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp := conn.(*net.TCPConn)
	_ = tcp.SetLinger(0) // does not use up the ports
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var on, idle int
	err = raw.Control(func(fd uintptr) {
		on, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		idle, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
	})
	if err == nil && (on != 1 || idle != 4321) {
		err = fmt.Errorf("SO_KEEPALIVE %d, TCP_KEEPIDLE %d", on, idle)
	}
	return err
}
