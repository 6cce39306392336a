// Command heartbeatsql watches a database and exits when it no longer answers, also if
// only its process hangs while its kernel answers.
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
	flag.DurationVar(&cfg.Interval, "interval", cfg.Interval, "silence before a ping is sent")
	flag.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "silence after which the database is dead")
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

// watch returns when ctx is done, or a *heartbeat.DeadError when the database does not
// answer.
func watch(ctx context.Context, db *sql.DB, cfg heartbeat.Config) error {
	// recipe: heartbeat-sql
	return heartbeat.Run(ctx, cfg, db.PingContext)
	// end recipe
}
