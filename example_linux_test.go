package keepalive_test

import (
	"fmt"
	"log"
	"net"
	"time"

	"github.com/go-keepalive/keepalive"
)

// The output of these examples is that of Linux.

func ExampleGet() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	before, err := keepalive.Get(conn) // package net has turned keepalive on
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before.Idle, before.Interval, before.Count)

	if err := keepalive.Enable(conn, keepalive.Options{Idle: 5 * time.Minute}); err != nil {
		log.Fatal(err)
	}
	now, err := keepalive.Get(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(now.Idle, now.Interval, now.Count)

	if err := keepalive.Enable(conn, before); err != nil { // restore
		log.Fatal(err)
	}
	// Output:
	// 15s 15s 9
	// 5m0s 15s 9
}

// This is the code of docs/guide.md.
func Example_check() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()

	dialer := net.Dialer{KeepAlive: -1} // package net does not turn keepalive on
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	o, err := keepalive.Get(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("keepalive is off:", o.Disabled)

	err = keepalive.Enable(conn, keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3})
	if err != nil {
		log.Fatal(err)
	}

	o, err = keepalive.Get(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("keepalive is off:", o.Disabled)
	fmt.Println(o.Idle, o.Interval, o.Count, o.DetectionTime())
	// Output:
	// keepalive is off: true
	// keepalive is off: false
	// 45s 5s 3 1m0s
}

func ExampleDetectWithin() {
	o := keepalive.DetectWithin(time.Minute)
	fmt.Println(o)
	fmt.Println("a dead peer is detected after", o.DetectionTime())
	// Output:
	// idle=29s,interval=8s,count=3,user-timeout=52.5s
	// a dead peer is detected after 53s
}

// A NAT gateway drops connections that are idle for 350 seconds.
func ExampleKeepOpen() {
	fmt.Println(keepalive.KeepOpen(350 * time.Second))
	// Output: idle=4m40s,interval=31s,count=3
}

func ExampleOptions_DetectionTime() {
	o := keepalive.Options{Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}
	fmt.Println(o.DetectionTime())

	o.UserTimeout = 50 * time.Second // limits idle connections, too, on Linux
	fmt.Println(o.DetectionTime())
	// Output:
	// 1m0s
	// 50s
}

// The function is called once with the error that ended the connection, although later
// Reads return it as well.
func ExampleKeepError() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn = keepalive.KeepError(conn, func(_ net.Conn, err error) {
		fmt.Println("connection ended:", keepalive.Diagnose(err))
	})

	peer, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	peer.(*net.TCPConn).SetLinger(0) // Close resets the connection
	peer.Close()
	for range 2 {
		_, err := conn.Read(make([]byte, 1))
		fmt.Println("Read:", keepalive.Diagnose(err))
	}
	// Output:
	// connection ended: reset
	// Read: reset
	// Read: reset
}
