package compat

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// A relay stands between a client and a server, and can become a dead peer of the client. It
// listens before it has a server, so that a server can advertise the relay's address.
type relay struct {
	ln *net.TCPListener

	mu      sync.Mutex
	server  string
	clients []*net.TCPConn // near ends of the clients' connections
	others  []net.Conn
	dead    []socket // the clients' sockets, after setDead
}

func newRelay(t testing.TB) *relay {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // it accepts no filter
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{ln: ln.(*net.TCPListener)}
	t.Cleanup(r.close)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go r.serve(conn.(*net.TCPConn))
		}
	}()
	return r
}

func (r *relay) serve(client *net.TCPConn) {
	client.SetKeepAlive(false)
	r.mu.Lock()
	server := r.server
	r.clients = append(r.clients, client)
	r.mu.Unlock()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	r.mu.Lock()
	r.others = append(r.others, conn)
	r.mu.Unlock()
	go func() {
		io.Copy(conn, client)
		conn.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, conn)
	client.CloseWrite()
}

// setServer sets the address of the server.
func (r *relay) setServer(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = addr
}

// setDead makes the relay a dead peer of its clients. From now on, it does not answer when they
// dial, and no segment passes between the relay and its clients.
func (r *relay) setDead(t testing.TB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.NoError(t, testpeer.Filter(r.ln, true))
	r.dead = otherEnds(r.clients)
	cut(r.clients, r.dead, true)
}

// cut drops what arrives at both ends of connections, or lets it pass again. With a filter at
// one end only, a retransmission of that end would be a sign of life.
func cut(conns []*net.TCPConn, sockets []socket, drop bool) {
	for _, c := range conns {
		testpeer.Filter(c, drop) // an error means that c is closed
	}
	for _, s := range sockets {
		if s.isOpen() {
			testpeer.Filter(s, drop)
		}
	}
}

// restart lets the relay answer dials again. The connections that it has stay dead.
func (r *relay) restart(t testing.TB) {
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.NoError(t, testpeer.Filter(r.ln, false))
}

// conns returns the near ends of the clients' connections.
func (r *relay) conns() []*net.TCPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*net.TCPConn(nil), r.clients...)
}

// close resets all connections, so that a client that is being closed does not wait.
func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ln.Close()
	cut(r.clients, r.dead, false)
	for _, c := range r.clients {
		c.SetLinger(0)
		c.Close()
	}
	for _, c := range r.others {
		c.Close()
	}
}
