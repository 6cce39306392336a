// Command heartbeatsql watches over a database, and says when it is dead: not only
// when its host is, but also when its process hangs behind a kernel that answers.
//
//	go run ./heartbeatsql postgres://user:password@host/database
package main

import (
	"context"
	"database/sql"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/go-keepalive/keepalive/heartbeat"
)

func main() {
	cfg := heartbeat.Config{Interval: 5 * time.Second, Timeout: 15 * time.Second, Jitter: 0.2}
	flag.DurationVar(&cfg.Interval, "interval", cfg.Interval, "silence before a ping")
	flag.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "silence that is death")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: heartbeatsql [flags] URL")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := sql.Open("pgx", flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := watch(ctx, db, cfg); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// watch returns when ctx is done, or when the database is dead: then the error is a
// *heartbeat.DeadError.
func watch(ctx context.Context, db *sql.DB, cfg heartbeat.Config) error {
	// recipe: heartbeat-sql
	return heartbeat.Run(ctx, cfg, db.PingContext)
	// end recipe
}
