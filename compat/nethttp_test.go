package compat

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
)

// notes:
// - A GET is sent again on a new connection, so the caller waits for the dead server twice. A POST
//   is not.
// - An idle connection is removed when the kernel drops it. The next request dials.
// - A server's handler learns of a dead client by the context of the request, which has no cause.
//   While it writes, it gets EPIPE, because the server reads at the same time and gets ETIMEDOUT.
//   With KeepError the handler gets ETIMEDOUT. KeepError's function gets it in any case.
// - With TLS, use KeepError below TLS. HTTP/2 does not work with a wrapper around a `*tls.Conn`.

func init() {
	register(library{
		name:   "net/http",
		module: "std",
		area:   "HTTP",
		cases: []libraryCase{
			{name: "client, GET", client: func(r *run) session { return httpClient(r, http.MethodGet) }},
			{name: "client, POST", client: func(r *run) session { return httpClient(r, http.MethodPost) }},
			{name: "client, HTTP/2", client: http2Client},
			{name: "client, response body", client: httpBody},
			{name: "server", server: httpServer, varies: raced},
			{name: "server, HTTP/2", server: http2Server},
		},
	})
}

func httpClient(r *run, method string) session {
	r.setServer(r.once("net/http", func(t testing.TB) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}))
	dial := r.dial
	// recipe: Client
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dial
	client := &http.Client{Transport: transport}
	// end recipe
	r.Cleanup(client.CloseIdleConnections)
	return httpSession(client, method, "http://"+r.addr)
}

func http2Client(r *run) session {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	r.Cleanup(s.Close)
	r.setServer(s.Listener.Addr().String())
	transport := s.Client().Transport.(*http.Transport) // trusts the certificate
	transport.DialContext = r.dial
	return httpSession(s.Client(), http.MethodGet, "https://"+r.addr)
}

func httpSession(client *http.Client, method, url string) session {
	return session{use: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errNotOK
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}}
}

// httpBody reads a response that does not end, for example server-sent events.
func httpBody(r *run) session {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	}))
	r.Cleanup(s.Close)
	r.setServer(s.Listener.Addr().String())
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: r.dial}}).Get("http://" + r.addr)
	require.NoError(r, err)
	r.Cleanup(func() { resp.Body.Close() })
	wait := func(context.Context) error {
		_, err := resp.Body.Read(make([]byte, 1))
		return err
	}
	return session{wait: wait}
}

func httpServer(r *run) {
	listen, handler := r.listen, httpHandler(r)
	// recipe: Server
	srv := &http.Server{Handler: handler}
	ln := listen() // ListenConfig
	go srv.Serve(ln)
	// end recipe
	r.Cleanup(func() { srv.Close() })
	httpRequest(r, "http://"+ln.Addr().String())
}

func http2Server(r *run) {
	s := httptest.NewUnstartedServer(httpHandler(r))
	s.Listener.Close()
	s.Listener = r.listen()
	s.EnableHTTP2 = true
	s.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		r.accepted(conn)
		return ctx
	}
	s.StartTLS()
	r.Cleanup(s.CloseClientConnections)
	transport := s.Client().Transport.(*http.Transport)
	transport.DialContext = r.dialPlain
	httpGet(r, s.Client(), s.URL)
}

// httpHandler sends the header of its response. Then it waits for the end of the connection, or
// sends data until there is an error.
func httpHandler(r *run) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		flush := w.(http.Flusher).Flush
		flush()
		if !r.busy {
			<-req.Context().Done()
			r.report(context.Cause(req.Context()))
			return
		}
		r.report(keepWriting(context.Background(), w, flush))
	}
}

// httpRequest makes a request for httpHandler, and returns when it has the header of the response.
func httpRequest(r *run, url string) {
	httpGet(r, &http.Client{Transport: &http.Transport{DialContext: r.dialPlain}}, url)
}

func httpGet(r *run, client *http.Client, url string) {
	resp, err := client.Get(url)
	require.NoError(r, err)
	r.Cleanup(func() { resp.Body.Close() })
	go io.Copy(io.Discard, resp.Body)
}

// recipe: Listener with KeepError, for every server
type keepErrors struct {
	net.Listener
	onError func(net.Conn, error)
}

func (l keepErrors) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return keepalive.KeepError(conn, l.onError), err
}

// end recipe
