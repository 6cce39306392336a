package compat

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// notes:
// - A client has its own timeout of 2s (`client.go:16`), which returns a deadline before most options
//   detect a dead peer. Set `Timeout` if it should not.
// - An idle connection has no reader, so the next query returns ETIMEDOUT.
// - A server closes an idle connection after 8s (`server.go:574`). Set `IdleTimeout`
//   to a longer time if it should keep the connection. The handler does not learn of a dead client.

func init() {
	register(library{
		name:   "miekg/dns",
		module: "github.com/miekg/dns",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: func(r *run) session { return dnsClient(r, &dns.Client{Net: "tcp"}) }},
			{name: "client with Timeout", client: func(r *run) session { return dnsClient(r, &dns.Client{Net: "tcp", Timeout: patience}) }},
			{name: "server", server: func(r *run) { dnsServer(r, nil) }},
			{name: "server with IdleTimeout", server: func(r *run) { dnsServer(r, func() time.Duration { return patience }) }},
		},
	})
}

func dnsAnswer(w dns.ResponseWriter, req *dns.Msg) { w.WriteMsg(new(dns.Msg).SetReply(req)) }

func dnsClient(r *run, client *dns.Client) session {
	r.setServer(r.once("dns", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(dnsAnswer)}
		go s.ActivateAndServe()
		t.Cleanup(func() { ln.Close() })
		return ln.Addr().String()
	}))
	ctx, dial, addr := r.Context(), r.dial, r.addr
	// recipe: Client
	c, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	conn := &dns.Conn{Conn: c}
	query := func(msg *dns.Msg) (*dns.Msg, error) {
		answer, _, err := client.ExchangeWithConn(msg, conn)
		return answer, err
	}
	// end recipe
	r.Cleanup(func() { conn.Close() })
	return session{use: func(context.Context) error {
		_, err := query(new(dns.Msg).SetQuestion("example.org.", dns.TypeA))
		return err
	}}
}

func dnsServer(r *run, idleTimeout func() time.Duration) {
	listen := r.listen
	// recipe: Server
	ln := listen() // ListenConfig
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(dnsAnswer), IdleTimeout: idleTimeout}
	go srv.ActivateAndServe()
	// end recipe
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	_, _, err = (&dns.Client{}).ExchangeWithConn(new(dns.Msg).SetQuestion("example.org.", dns.TypeA), &dns.Conn{Conn: conn})
	require.NoError(r, err)
}
