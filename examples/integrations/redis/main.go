// Command redis connects to Redis and shows the keepalive options of the
// connection.
//
//	go run ./redis localhost:6379
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

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
		log.Fatal("usage: redis [-keepalive OPTIONS] HOST:PORT")
	}
	if err := run(context.Background(), os.Stdout, flag.Arg(0), opts); err != nil {
		log.Fatal(err)
	}
}

func newClient(addr string, opts keepalive.Options) *redis.Client {
	// recipe: redis
	rdb := redis.NewClient(&redis.Options{
		Addr:   addr,
		Dialer: keepalive.Dialer(nil, opts).DialContext,
	})
	// end recipe
	return rdb
}

// newTLSClient is for TLS. go-redis ignores its TLSConfig if a Dialer is set, and
// would send the password unencrypted.
func newTLSClient(addr string, cfg *tls.Config, opts keepalive.Options) *redis.Client {
	// recipe: redis-tls
	d := &tls.Dialer{NetDialer: keepalive.Dialer(nil, opts), Config: cfg}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Dialer: d.DialContext})
	// end recipe
	return rdb
}

func run(ctx context.Context, w io.Writer, addr string, opts keepalive.Options) error {
	rdb := newClient(addr, opts)
	defer rdb.Close()
	rdb.AddHook(dialed(func(conn net.Conn) {
		o, err := keepalive.Get(conn)
		if err != nil {
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintf(w, "%v: %+v\n", conn.RemoteAddr(), o)
	}))
	return rdb.Ping(ctx).Err()
}

// dialed is a go-redis hook that is called with each new connection.
type dialed func(net.Conn)

func (f dialed) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err == nil {
			f(conn)
		}
		return conn, err
	}
}

func (f dialed) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f dialed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
