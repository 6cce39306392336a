package compat

import (
	"context"
	"net"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"
)

// notes:
// - Nothing to know: the program has the `net.Conn`, and gets its errors.

func init() {
	register(library{
		name:   "gobwas/ws",
		module: "github.com/gobwas/ws",
		area:   "WebSocket",
		cases: []libraryCase{
			{name: "client", client: gobwasClient},
			{name: "server", server: gobwasServer},
		},
	})
}

func gobwasClient(r *run) session {
	r.setServer(r.once("gobwas", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) {
			if _, err := ws.Upgrade(conn); err != nil {
				return
			}
			for {
				message, op, err := wsutil.ReadClientData(conn)
				if err != nil || wsutil.WriteServerMessage(conn, op, message) != nil {
					return
				}
			}
		})
		return ln.Addr().String()
	}))
	ctx, dial, url := r.Context(), r.dial, "ws://"+r.addr
	// recipe: Client
	dialer := ws.Dialer{NetDial: dial}
	conn, _, _, err := dialer.Dial(ctx, url)
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	read := func(context.Context) error {
		_, _, err := wsutil.ReadServerData(conn)
		return err
	}
	return session{
		use: func(ctx context.Context) error {
			if err := wsutil.WriteClientText(conn, []byte("x")); err != nil {
				return err
			}
			return read(ctx)
		},
		wait: read,
	}
}

func gobwasServer(r *run) {
	ln := r.listen()
	go acceptLoop(ln, func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		r.accepted(conn)
		if _, _, err := wsutil.ReadClientData(conn); err != nil || wsutil.WriteServerText(conn, nil) != nil {
			return
		}
		if !r.busy {
			_, _, err := wsutil.ReadClientData(conn)
			r.report(err)
			return
		}
		r.report(keepWriting(context.Background(), writerFunc(func(b []byte) error { return wsutil.WriteServerBinary(conn, b) }), nil))
	})
	conn, _, _, err := ws.Dialer{NetDial: r.dialPlain}.Dial(r.Context(), "ws://"+ln.Addr().String())
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	require.NoError(r, wsutil.WriteClientText(conn, nil))
	_, _, err = wsutil.ReadServerData(conn)
	require.NoError(r, err)
}
