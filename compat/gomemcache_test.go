package compat

import (
	"context"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// notes:
// - Timeout is a deadline for each request. It is 500ms by default, so that keepalive matters only for
//   idle connections.
// - The client does not test an idle connection, and does not retry. The first request on each dropped
//   connection fails.

func init() {
	register(library{
		name:   "gomemcache",
		module: "github.com/bradfitz/gomemcache",
		area:   "Databases",
		cases: []libraryCase{
			{client: func(r *run) session { return memcacheClient(r, 0) }},
			{name: "Timeout 1h", client: func(r *run) session { return memcacheClient(r, time.Hour) }},
		},
	})
}

func memcacheClient(r *run, timeout time.Duration) session {
	r.start(memcachedServer)
	addr, dial := r.addr, r.dial
	// recipe: Client
	client := memcache.New(addr)
	client.DialContext = dial
	client.Timeout = timeout // 500ms by default
	// end recipe
	r.Cleanup(func() { client.Close() })
	return session{use: func(context.Context) error {
		return client.Set(&memcache.Item{Key: "key", Value: []byte("value")})
	}}
}
