package keepalive_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/go-keepalive/keepalive"
)

// This program prints what a server sends, and reports if the server is dead. It is not
// run as a test, because it needs a server.
func Example() {
	conn, err := net.Dial("tcp", "example.com:7000")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	err = keepalive.Enable(conn, keepalive.Options{
		Idle:     45 * time.Second, // first probe after 45s without traffic
		Interval: 5 * time.Second,  // then a probe every 5s
		Count:    3,                // dropped after 3 unanswered probes: 60s
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}

	_, err = io.Copy(os.Stdout, conn)
	if keepalive.Diagnose(err) == keepalive.Dead {
		log.Fatal("the server does not answer: ", err)
	}
}

func ExampleOptions_Validate() {
	o := keepalive.Options{Idle: -time.Minute}
	var optionErr *keepalive.OptionError
	if err := o.Validate(); errors.As(err, &optionErr) {
		fmt.Println(optionErr.Option, optionErr.Value)
	}
	// Output: Idle -1m0s
}

// Options can be a flag. They can also be a field in JSON or YAML.
func ExampleOptions_UnmarshalText() {
	o := keepalive.Options{Idle: time.Minute} // the default of the flag
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	flags.TextVar(&o, "keepalive", o, "keepalive `options`, for example idle=45s,interval=5s,count=3 or off")
	flags.Parse([]string{"-keepalive", "idle=45s,interval=5s,count=3"})
	fmt.Println(o.Idle, o.Interval, o.Count)
	// Output: 45s 5s 3
}

// All connections of an HTTP client.
func ExampleDialer() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	}))
	defer server.Close()

	o := keepalive.DetectWithin(time.Minute)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = keepalive.Dialer(&net.Dialer{Timeout: 30 * time.Second}, o).DialContext
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: hello <nil>
}

// All connections of an HTTP server.
func ExampleListenConfig() {
	o := keepalive.DetectWithin(time.Minute)
	ln, err := keepalive.ListenConfig(nil, o).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(ln)
	defer server.Close()

	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}

// All connections of a listener that is created elsewhere, for example by systemd.
func ExampleListener() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ln := keepalive.Listener{
		Listener: inner,
		Options:  keepalive.DetectWithin(time.Minute),
		OnError:  func(_ net.Conn, err error) { log.Print(err) },
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(ln)
	defer server.Close()

	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}

func ExampleDiagnose() {
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

	conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	switch cause := keepalive.Diagnose(err); cause {
	case keepalive.Dead, keepalive.Reset, keepalive.Unreachable:
		fmt.Println("connect again:", cause)
	case keepalive.Deadline:
		fmt.Println("the connection can still be used:", cause)
	default:
		fmt.Println(cause)
	}
	// Output: the connection can still be used: deadline
}

func ExampleInspect() {
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

	o, err := keepalive.Get(conn) // once, when the connection is made
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
	info, err := keepalive.Inspect(conn) // from time to time
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
	if info.Suspect(o) {
		fmt.Println("the peer does not answer:", info)
		if left, ok := info.Remaining(o); ok {
			fmt.Println("the kernel drops the connection in", left)
		}
	} else {
		fmt.Println("the peer is not suspect")
	}
	// Output: the peer is not suspect
}
