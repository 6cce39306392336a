package compat

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// notes:
// - The client gets the status 502. `ErrorHandler` gets the error.
// - A GET is sent again on a new connection, as with the transport of net/http.
// - A dead client cancels the request to the backend. So the backend's handler gets
//   `context.Canceled`, or EPIPE, which tells nothing about the client. KeepError's function of
//   the proxy's listener gets ETIMEDOUT.

func init() {
	register(library{
		name:   "httputil.ReverseProxy",
		module: "std",
		area:   "HTTP",
		cases: []libraryCase{
			{name: "to a dead server", client: reverseProxyClient},
			{name: "to a dead client", server: reverseProxyServer},
		},
	})
}

// reverseProxyClient returns the error of the proxy, not of the proxy's client.
func reverseProxyClient(r *run) session {
	r.setServer(r.once("ReverseProxy", func(t testing.TB) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}))
	backend := &url.URL{Scheme: "http", Host: r.addr}
	dial := r.dial
	var failed error
	logError := func(err error) { failed = err }
	// recipe: Proxy
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dial
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(backend) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			logError(err) // for example with Diagnose(err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	// end recipe
	r.Cleanup(transport.CloseIdleConnections)
	return session{use: func(ctx context.Context) error {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, req)
		return failed
	}}
}

func reverseProxyServer(r *run) {
	done := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		httpHandler(r)(w, req)
		close(done)
	}))
	r.Cleanup(backend.Close)
	u, err := url.Parse(backend.URL)
	require.NoError(r, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, ErrorLog: discardLog}
	srv := &http.Server{Handler: proxy, ErrorLog: discardLog}
	ln := r.listen()
	go srv.Serve(ln)
	r.Cleanup(func() { srv.Close() })
	httpRequest(r, "http://"+ln.Addr().String())
}
