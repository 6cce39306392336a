package compat

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - The driver turns keepalive on (`connector.go:118`), also if the options are `off`. It does not if
//   the connection is wrapped, for example with KeepError.
// - A query on a dead connection returns `mysql.ErrInvalidConn` in place of the error
//   (`packets.go:59`). KeepError's function gets the error, and the logger of the driver, too.
// - The driver tests an idle connection before a query. This test gets the error before KeepError
//   does, so KeepError's function is not called.

func init() {
	register(library{
		name:   "go-sql-driver/mysql",
		module: "github.com/go-sql-driver/mysql",
		area:   "Databases",
		cases:  []libraryCase{{client: mysqlClient}},
	})
}

func mysqlClient(r *run) session {
	r.start(mariadbServer)
	addr, dial := r.addr, r.dial
	// recipe: database/sql
	cfg := mysql.NewConfig() // or mysql.ParseDSN
	cfg.Net, cfg.Addr = "tcp", addr
	cfg.DialFunc = dial
	connector, err := mysql.NewConnector(cfg) // then sql.OpenDB(connector)
	// end recipe
	require.NoError(r, err)
	return sqlSession(r, sql.OpenDB(connector))
}

// TestMySQLTurnsKeepAliveOn checks that the driver overwrites "off", except through a wrapper.
func TestMySQLTurnsKeepAliveOn(t *testing.T) {
	off := keepalive.Dialer(nil, keepalive.Options{Disabled: true})
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("KeepError=", keep), func(u *testing.T) {
			u.Parallel()
			r := newRun(u, t)
			r.start(mariadbServer)
			var conn net.Conn
			cfg := mysql.NewConfig()
			cfg.Net, cfg.Addr = "tcp", r.addr
			cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				var err error
				if conn, err = off.DialContext(ctx, network, addr); keep {
					conn = keepalive.KeepError(conn, nil)
				}
				return conn, err
			}
			connector, err := mysql.NewConnector(cfg)
			require.NoError(u, err)
			require.NoError(u, sqlSession(r, sql.OpenDB(connector)).use(u.Context()))
			got, err := keepalive.Get(conn)
			require.NoError(u, err)
			assert.Equal(u, keep, got.Disabled)
		})
	}
}
