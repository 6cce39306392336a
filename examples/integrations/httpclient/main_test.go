package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/examples/integrations/internal/live"
)

func TestClient(t *testing.T) {
	live.Need(t)
	for _, test := range []struct {
		proto string
		start func(*httptest.Server)
	}{
		{"HTTP/1.1", (*httptest.Server).Start},
		{"HTTP/2.0", (*httptest.Server).StartTLS},
	} {
		t.Run(test.proto, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto)
			}))
			srv.EnableHTTP2 = true
			test.start(srv)
			defer srv.Close()

			client := newClient(live.Options)
			defer client.CloseIdleConnections()
			if srv.TLS != nil { // trust its certificate
				client.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			}
			var out strings.Builder
			require.NoError(t, get(t.Context(), &out, client, srv.URL))
			assert.Equal(t, fmt.Sprintf("%s 200 OK, 8 bytes: %+v\n", test.proto, live.Options), out.String())

			// Once more, from the outside, on the connection that was kept.
			conns := make(chan net.Conn, 1)
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) {
					assert.True(t, info.Reused)
					conns <- info.Conn
				},
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
			require.NoError(t, err)
			resp, err := client.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			live.Check(t, live.Next(t, conns))
		})
	}
}
