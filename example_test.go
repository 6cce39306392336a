package keepalive_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-keepalive/keepalive"
)

func Example() {
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

	err = keepalive.Enable(conn, keepalive.Options{
		Idle:     45 * time.Second,
		Interval: 15 * time.Second,
		Count:    3,
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
}

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

	before, err := keepalive.Get(conn) // package net turned it on: 15 s, 15 s, 9
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before.Idle, before.Interval, before.Count)

	defer keepalive.Enable(conn, before) // as it was
	keepalive.Enable(conn, keepalive.Options{Idle: 5 * time.Minute})
	now, err := keepalive.Get(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(now.Idle, now.Interval, now.Count)
}

func ExampleOptions_Validate() {
	o := keepalive.Options{Idle: -time.Minute}
	var oe *keepalive.OptionError
	if err := o.Validate(); errors.As(err, &oe) {
		fmt.Println(oe.Option, oe.Value)
	}
	// Output: Idle -1m0s
}

func ExampleDetectWithin() {
	o := keepalive.DetectWithin(time.Minute)
	if err := o.Validate(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
	fmt.Println(o)
	fmt.Println("a dead peer is noticed after", o.DetectionTime())
}

func ExampleKeepOpen() {
	natGateway := keepalive.KeepOpen(350 * time.Second)
	dialer := keepalive.Dialer(nil, natGateway)
	_ = dialer
}

func ExampleOptions_UnmarshalText() {
	o := keepalive.DetectWithin(time.Minute) // unless told otherwise
	flag.TextVar(&o, "keepalive", o, "keepalive `settings`, such as idle=45s,interval=5s,count=3, or off")
	flag.Parse()

	if env, ok := os.LookupEnv("KEEPALIVE"); ok {
		if err := o.UnmarshalText([]byte(env)); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleDialer() {
	o := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3, UserTimeout: 90 * time.Second}
	client := &http.Client{Transport: &http.Transport{
		DialContext: keepalive.Dialer(nil, o).DialContext,
	}}
	defer client.CloseIdleConnections()
}

func ExampleListenConfig() {
	o := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3}
	ln, err := keepalive.ListenConfig(nil, o).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	server := &http.Server{}
	go server.Serve(ln)
	defer server.Close()
}

func ExampleListener() {
	inner, err := net.Listen("tcp", "127.0.0.1:0") // or one from systemd, or with a limit
	if err != nil {
		log.Fatal(err)
	}
	ln := keepalive.Listener{
		Listener: inner,
		Options:  keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3},
		OnError:  func(conn net.Conn, err error) { log.Print(conn.RemoteAddr(), ": ", err) },
	}
	defer ln.Close()
	go http.Serve(ln, nil)
}

func ExampleInspect() {
	var conn net.Conn                   // from anywhere
	inForce, err := keepalive.Get(conn) // once, when the connection is made
	if err != nil {
		log.Fatal(err)
	}
	info, err := keepalive.Inspect(conn) // now and then
	if err != nil {
		log.Fatal(err)
	}
	if info.Suspect(inForce) {
		if left, ok := info.Remaining(inForce); ok {
			log.Printf("silent for %v, given up in %v", info.Silence, left)
		}
	}
}

func ExampleDiagnose() {
	var conn net.Conn // from anywhere
	_, err := conn.Read(make([]byte, 1))
	switch keepalive.Diagnose(err) {
	case keepalive.Dead, keepalive.Reset, keepalive.Unreachable:
		log.Print("the peer is gone: ", err)
	case keepalive.Deadline:
		// It may still be there: the connection can be used.
	case keepalive.EOF, keepalive.Closed:
		// All is well.
	}
}
