// Command pgx connects to PostgreSQL and shows the keepalive options of the
// connection.
//
//	go run ./pgx postgres://user:password@host/database
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
		log.Fatal("usage: pgx [-keepalive OPTIONS] URL")
	}
	if err := run(context.Background(), os.Stdout, flag.Arg(0), opts); err != nil {
		log.Fatal(err)
	}
}

func connect(ctx context.Context, url string, opts keepalive.Options) (*pgx.Conn, error) {
	// recipe: pgx
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = keepalive.Dialer(nil, opts).DialContext
	return pgx.ConnectConfig(ctx, cfg) // or stdlib.OpenDB(*cfg), for database/sql
	// end recipe
}

// connectKeeping is connect with the reason if a connection ends.
func connectKeeping(ctx context.Context, url string, opts keepalive.Options) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	// recipe: keep-error
	d := keepalive.Dialer(nil, opts)
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return keepalive.KeepError(conn, func(_ net.Conn, err error) { // or nil
			log.Printf("connection to %s ended (%v): %v", addr, keepalive.Diagnose(err), err)
		}), nil
	}
	// end recipe
	return pgx.ConnectConfig(ctx, cfg)
}

func newPool(ctx context.Context, url string, opts keepalive.Options) (*pgxpool.Pool, error) {
	// recipe: pgxpool
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.DialFunc = keepalive.Dialer(nil, opts).DialContext
	return pgxpool.NewWithConfig(ctx, cfg)
	// end recipe
}

func run(ctx context.Context, w io.Writer, url string, opts keepalive.Options) error {
	pool, err := newPool(ctx, url, opts)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var version string
	if err := conn.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return err
	}
	o, err := keepalive.Get(conn.Conn().PgConn().Conn())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "PostgreSQL %s: %+v\n", version, o)
	return nil
}
