// Package heartbeatstress runs the stress test of heartbeat.Conn over streams of other
// packages, which differ from sockets: yamux reports deadlines by an error of its own,
// and channels of x/crypto/ssh have no deadlines.
package heartbeatstress

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/go-keepalive/keepalive/internal/heartbeatstress"
)

func TestStress(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	heartbeatstress.Run(t,
		heartbeatstress.Transport{Name: "yamux", Connect: connectYamux},
		heartbeatstress.Transport{Name: "ssh", Connect: func(small bool) (near, far net.Conn, cleanup func(), err error) { return connectSSH(signer, small) }},
	)
}

func connectYamux(small bool) (near, far net.Conn, cleanup func(), err error) {
	a, b, err := heartbeatstress.Connect("tcp", "127.0.0.1:0", small)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	client, err := yamux.Client(a, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	server, err := yamux.Server(b, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	if near, err = client.Open(); err != nil {
		return nil, nil, nil, err
	}
	far, err = server.Accept()
	return near, far, func() { lingering(client.NumStreams, server.NumStreams); client.Close(); server.Close() }, err
}

// lingering waits until no stream is open, because Conn.Close returns sooner.
func lingering(streams ...func() int) {
	for _, n := range streams {
		for start := time.Now(); n() > 0 && time.Since(start) < 10*time.Second; {
			time.Sleep(time.Millisecond)
		}
	}
}

// channel is an ssh channel as a connection. Like those of x/crypto/ssh itself, it has
// no deadlines.
type channel struct {
	ssh.Channel
	conn ssh.Conn
}

var errNoDeadlines = errors.New("ssh: deadline not supported")

func (c channel) LocalAddr() net.Addr            { return c.conn.LocalAddr() }
func (c channel) RemoteAddr() net.Addr           { return c.conn.RemoteAddr() }
func (channel) SetDeadline(time.Time) error      { return errNoDeadlines }
func (channel) SetReadDeadline(time.Time) error  { return errNoDeadlines }
func (channel) SetWriteDeadline(time.Time) error { return errNoDeadlines }

func connectSSH(signer ssh.Signer, small bool) (near, far net.Conn, cleanup func(), err error) {
	a, b, err := heartbeatstress.Connect("tcp", "127.0.0.1:0", small)
	if err != nil {
		return nil, nil, nil, err
	}
	type accepted struct {
		conn net.Conn
		err  error
	}
	server := make(chan accepted, 1)
	go func() {
		cfg := &ssh.ServerConfig{NoClientAuth: true}
		cfg.AddHostKey(signer)
		conn, channels, requests, err := ssh.NewServerConn(b, cfg)
		if err != nil {
			server <- accepted{err: err}
			return
		}
		go ssh.DiscardRequests(requests)
		ch, requests, err := (<-channels).Accept()
		if err == nil {
			go ssh.DiscardRequests(requests)
		}
		server <- accepted{channel{ch, conn}, err}
	}()
	conn, channels, requests, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return nil, nil, nil, err
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for c := range channels {
			c.Reject(ssh.Prohibited, "")
		}
	}()
	ch, requests, err := conn.OpenChannel("stress", nil)
	if err != nil {
		return nil, nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ssh.DiscardRequests(requests) // until the channel is closed
	}()
	s := <-server
	return channel{ch, conn}, s.conn, func() {
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
		a.Close()
		b.Close()
	}, s.err
}
