package compat

import (
	"context"
	"time"

	"github.com/gomodule/redigo/redis"
)

// notes:
// - The pool does not test an idle connection. The first command on each dropped connection fails.
//   With TestOnBorrow, the pool opens a new connection instead.
// - With DialContextFunc, redigo ignores DialKeepAlive (5 minutes) and DialConnectTimeout (30s).

func init() {
	register(library{
		name:   "redigo",
		module: "github.com/gomodule/redigo",
		area:   "Databases",
		cases: []libraryCase{
			{name: "Pool", client: func(r *run) session { return redigoClient(r, redigoPool(r)) }},
			{name: "Pool with TestOnBorrow", client: func(r *run) session {
				pool := redigoPool(r)
				redigoTest(pool)
				return redigoClient(r, pool)
			}},
		},
	})
}

func redigoPool(r *run) *redis.Pool {
	r.start(redisServer)
	addr, dial := r.addr, r.dial
	// recipe: Pool
	pool := &redis.Pool{
		MaxIdle: 3,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", addr, redis.DialContextFunc(dial))
		},
	}
	// end recipe
	r.Cleanup(func() { pool.Close() })
	return pool
}

func redigoTest(pool *redis.Pool) {
	// recipe: Test idle connections
	pool.TestOnBorrow = func(conn redis.Conn, _ time.Time) error {
		_, err := conn.Do("PING")
		return err
	}
	// end recipe
}

func redigoClient(_ *run, pool *redis.Pool) session {
	return session{use: func(ctx context.Context) error {
		conn, err := pool.GetContext(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = redis.DoContext(conn, ctx, "PING")
		return err
	}}
}
