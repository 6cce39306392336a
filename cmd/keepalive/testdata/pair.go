// Command pair is pair.c in Go.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	log.SetFlags(log.Lshortfile)
	l, err := net.Listen("tcp", "127.0.0.1:0") // Multipath TCP if the kernel has it
	if err != nil {
		log.Fatal(err)
	}
	dialed, err := net.Dial("tcp", l.Addr().String()) // sets 15s, 15s and 9
	if err != nil {
		log.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range []net.Conn{dialed, accepted} {
		c := c.(*net.TCPConn)
		if err := c.SetKeepAlive(false); err != nil {
			log.Fatal(err)
		}
		if err := c.SetKeepAlivePeriod(99 * time.Second); err != nil {
			log.Fatal(err)
		}
		if err := c.SetNoDelay(true); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
