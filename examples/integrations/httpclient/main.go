// Command httpclient gets a page and shows the keepalive options of its
// connection.
//
//	go run ./httpclient https://go.dev/
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"

	"github.com/go-keepalive/keepalive"
)

var opts = keepalive.Options{
	Idle:        45 * time.Second,
	Interval:    5 * time.Second,
	Count:       3,
	UserTimeout: time.Minute,
}

func main() {
	flag.TextVar(&opts, "keepalive", opts, "keepalive `options`, for example idle=45s,interval=5s,count=3,user-timeout=1m, or detect-within=1m, or off")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: httpclient [-keepalive OPTIONS] URL")
	}
	if err := get(context.Background(), os.Stdout, newClient(opts), flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

// newClient returns a client with opts on its connections. Proxies, HTTP/2 and
// timeouts are those of http.DefaultTransport.
func newClient(opts keepalive.Options) *http.Client {
	// recipe: http-client
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DialContext = keepalive.Dialer(&net.Dialer{Timeout: 30 * time.Second}, opts).DialContext
	client := &http.Client{Transport: tr}
	// end recipe
	return client
}

func get(ctx context.Context, w io.Writer, client *http.Client, url string) error {
	var o keepalive.Options
	var readBack error
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { o, readBack = keepalive.Get(info.Conn) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if readBack != nil {
		return readBack
	}
	fmt.Fprintf(w, "%s %s, %d bytes: %+v\n", resp.Proto, resp.Status, n, o)
	return nil
}
