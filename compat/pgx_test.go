package compat

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// notes:
// - `Exec` without arguments, and everything else that uses the simple protocol, loses the error
//   (`pgconn/pgconn.go:1700`). It reads again, and returns `io.ErrUnexpectedEOF`. With KeepError it
//   returns "conn closed", so use KeepError's function.
// - All other calls return ETIMEDOUT. Without KeepError, pgx takes it for a timeout
//   (`pgconn/pgconn.go:706`).
// - A single connection stays closed after that. A pool and `database/sql` open a new one.
//   `database/sql` sends the query again, so the caller waits for the dial, too.

func init() {
	register(library{
		name:   "pgx",
		module: "github.com/jackc/pgx/v5",
		area:   "Databases",
		cases: []libraryCase{
			{name: "Query", client: func(r *run) session {
				conn := pgxConnect(r)
				return session{use: func(ctx context.Context) error {
					var n int
					return conn.QueryRow(ctx, "select 1").Scan(&n)
				}}
			}},
			{name: "Exec", client: func(r *run) session {
				conn := pgxConnect(r)
				return session{use: func(ctx context.Context) error {
					_, err := conn.Exec(ctx, "select 1")
					return err
				}}
			}},
			{name: "Exec with arguments", client: func(r *run) session {
				conn := pgxConnect(r)
				return session{use: func(ctx context.Context) error {
					_, err := conn.Exec(ctx, "select $1::int", 1)
					return err
				}}
			}},
			{name: "WaitForNotification", client: func(r *run) session {
				conn := pgxConnect(r)
				return session{use: func(ctx context.Context) error {
					_, err := conn.Exec(ctx, "listen news")
					return err
				}, wait: func(ctx context.Context) error {
					_, err := conn.WaitForNotification(ctx)
					return err
				}}
			}},
			{name: "pgxpool", client: pgxPool},
			{name: "database/sql", client: pgxSQL},
		},
	})
}

func postgresURL(r *run) string {
	r.start(postgresServer)
	return "postgres://postgres@" + r.addr + "/postgres?sslmode=disable"
}

func pgxConnect(r *run) *pgx.Conn {
	url, ctx, dial := postgresURL(r), r.Context(), r.dial
	connect := func() (*pgx.Conn, error) {
		// recipe: Connection
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = dial
		conn, err := pgx.ConnectConfig(ctx, cfg) // or stdlib.OpenDB(*cfg)
		// end recipe
		return conn, err
	}
	conn, err := connect()
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func pgxPool(r *run) session {
	url, ctx, dial := postgresURL(r), r.Context(), r.dial
	// recipe: Pool
	cfg, err := pgxpool.ParseConfig(url)
	if err == nil {
		cfg.ConnConfig.DialFunc = dial
	}
	// end recipe
	require.NoError(r, err)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	require.NoError(r, err)
	r.Cleanup(pool.Close)
	return session{use: func(ctx context.Context) error {
		var n int
		return pool.QueryRow(ctx, "select 1").Scan(&n)
	}}
}

func pgxSQL(r *run) session {
	cfg, err := pgx.ParseConfig(postgresURL(r))
	require.NoError(r, err)
	cfg.DialFunc = r.dial
	return sqlSession(r, stdlib.OpenDB(*cfg))
}

// sqlSession makes queries with database/sql.
func sqlSession(r *run, db *sql.DB) session {
	r.Cleanup(func() { db.Close() })
	return session{use: func(ctx context.Context) error {
		var n int
		return db.QueryRowContext(ctx, "select 1").Scan(&n)
	}}
}
