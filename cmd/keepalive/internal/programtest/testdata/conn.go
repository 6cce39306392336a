// conn ADDRESS PORT: dials and accepts a connection, and waits for the end of stdin. Package
// net chooses 15s, 15s and 9 for both.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	dialed, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	check(err)
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], "0"))
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	accepted, err := listener.Accept()
	check(err)
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	dialed.Close()
	accepted.Close()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
