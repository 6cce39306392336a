package compat

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// notes:
// - `client.Wait` returns the error. `SendRequest`, and reading from a session, return `io.EOF`
//   (`ssh/mux.go:185`). KeepError does not change that.
// - `ssh.Dial` dials with package net. Use `NewClientConn`.

func init() {
	register(library{
		name:   "x/crypto/ssh",
		module: "golang.org/x/crypto",
		area:   "RPC and multiplexing",
		cases: []libraryCase{
			{name: "client", client: sshClient},
			{name: "server", server: sshServer},
		},
	})
}

func sshServerConfig(t testing.TB) *ssh.ServerConfig {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	return config
}

func sshClientConfig() *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "test", HostKeyCallback: ssh.InsecureIgnoreHostKey()}
}

func sshClient(r *run) session {
	r.setServer(r.once("ssh", func(t testing.TB) string {
		config := sshServerConfig(t)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) {
			_, channels, requests, err := ssh.NewServerConn(conn, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for c := range channels {
				c.Reject(ssh.Prohibited, "")
			}
		})
		return ln.Addr().String()
	}))
	ctx, dial, addr, config := r.Context(), r.dial, r.addr, sshClientConfig()
	// recipe: Client
	conn, err := dial(ctx, "tcp", addr)
	require.NoError(r, err)
	c, channels, requests, err := ssh.NewClientConn(conn, addr, config)
	require.NoError(r, err)
	client := ssh.NewClient(c, channels, requests)
	// end recipe
	r.Cleanup(func() { client.Close() })
	return session{
		use: func(context.Context) error {
			_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
			return err
		},
		wait: func(context.Context) error { return client.Wait() },
	}
}

func sshServer(r *run) {
	config := sshServerConfig(r)
	ln := r.listen()
	go acceptLoop(ln, func(conn net.Conn) {
		r.accepted(conn)
		c, channels, requests, err := ssh.NewServerConn(conn, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		go func() {
			for c := range channels {
				c.Reject(ssh.Prohibited, "")
			}
		}()
		if !r.busy {
			r.report(c.Wait())
			return
		}
		for {
			if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
				r.report(err)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	conn, err := r.dialPlain(r.Context(), "tcp", ln.Addr().String())
	require.NoError(r, err)
	c, channels, requests, err := ssh.NewClientConn(conn, "", sshClientConfig())
	require.NoError(r, err)
	client := ssh.NewClient(c, channels, requests)
	r.Cleanup(func() { client.Close() })
	_, _, err = client.SendRequest("keepalive@openssh.com", true, nil)
	require.NoError(r, err)
}
