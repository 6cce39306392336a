package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive/cmd/keepalive/internal/idletimeout"
)

// pathServer is a server that calls handle with each connection.
func pathServer(t *testing.T, handle func(net.Conn)) string {
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func untilClosed(conn net.Conn) { io.Copy(io.Discard, conn) }

func TestPathUsage(t *testing.T) {
	for _, args := range []string{
		"", "a b", "example.com", "::1", "[::1]", ":80", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:nonsense", "udp://127.0.0.1:53", "https://example.com/",
		"127.0.0.1:0", "127.0.0.1:-1",
		"127.0.0.1:1 --max 0", "127.0.0.1:1 --max -1s", "127.0.0.1:1 --max 1s", "127.0.0.1:1 --max 10000h", "127.0.0.1:1 --max x",
		"127.0.0.1:1 --precision -1s", "127.0.0.1:1 --precision 1ms", "127.0.0.1:1 --connections 0", "127.0.0.1:1 --connections 1000",
		"127.0.0.1:1 -o xml", `127.0.0.1:1 --send \q`,
	} {
		out, errs, status := keepaliveCommand(append([]string{"path"}, strings.Fields(args)...)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Regexp(t, `^keepalive: .*\n$`, errs, args)
	}
}

func TestPathNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener.Close()
	out, errs, status := keepaliveCommand("path", listener.Addr().String())
	assert.Equal(t, 1, status)
	assert.Empty(t, out)
	assert.Regexp(t, `^keepalive: .*connection refused\n$`, errs)
}

func TestPathOpen(t *testing.T) {
	t.Parallel()
	addr := pathServer(t, untilClosed)
	out, errs, status := keepaliveCommand("path", "--max", "3s", addr)
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Regexp(t, `(?s)^Measuring the path to 127\.0\.0\.1:\d+ with idle times up to 3s\.
      1\.\ds  answered
.*  3(\.\d)?s  answered

The path kept connections open that were idle for 3(\.\d)?s\. A longer timeout would
need a longer --max\.
Only the direction to the server was measured\.
$`, out)
}

func TestPathJSON(t *testing.T) {
	t.Parallel()
	greeting := make(chan string, 100)
	addr := pathServer(t, func(conn net.Conn) {
		line := make([]byte, 7)
		io.ReadFull(conn, line)
		select {
		case greeting <- string(line):
		default:
		}
		time.Sleep(2500 * time.Millisecond)
		fmt.Fprint(conn, "goodbye\r\n")
	})
	out, errs, status := keepaliveCommand("path", "-o", "json", "--connections", "8", "--max", "10s", "--send", `"hi" \r\n`, addr)
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Equal(t, "\"hi\" \r\n", <-greeting)
	var report map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &report), out)
	assert.Equal(t, addr, report["address"])
	assert.Equal(t, "server-closes", report["verdict"])
	assert.Contains(t, report, "upper_seconds")
	assert.Nil(t, report["upper_seconds"])
	assertClosedAfter(t, 2.5, report)
	assert.GreaterOrEqual(t, report["lower_seconds"], 1.4)
	assert.LessOrEqual(t, report["lower_seconds"], report["closed_after_seconds"])
	assert.Contains(t, report["text"], `after sending "goodbye"`)
	assert.NotContains(t, report, "keep_open")
}

// TestPathTLS: with --tls and --send, the idle timeout of an HTTPS server.
func TestPathTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.IdleTimeout = 2500 * time.Millisecond
	server.StartTLS()
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	out, errs, status := keepaliveCommand("path", "-o", "json", "--connections", "8", "--tls", "--send", `GET / HTTP/1.1\r\nHost: test\r\n\r\n`, addr)
	assert.Zero(t, status)
	assert.Empty(t, errs)
	var report map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &report), out)
	assert.Equal(t, "server-closes", report["verdict"])
	assertClosedAfter(t, 2.5, report)
}

// assertClosedAfter checks the time after which the server closes connections. On a busy machine, a
// server can be late, but not early.
func assertClosedAfter(t *testing.T, seconds float64, report map[string]any) {
	assert.GreaterOrEqual(t, report["closed_after_seconds"], seconds-0.1)
	assert.LessOrEqual(t, report["closed_after_seconds"], seconds+2)
}

// TestPathNoTLS: a server without TLS.
func TestPathNoTLS(t *testing.T) {
	t.Parallel()
	addr := pathServer(t, func(conn net.Conn) {
		fmt.Fprintln(conn, "hello, this is no TLS")
		untilClosed(conn)
	})
	out, errs, status := keepaliveCommand("path", "--tls", addr)
	assert.Equal(t, 1, status)
	assert.NotContains(t, out, "answered")
	assert.Contains(t, errs, "TLS handshake")
}

// TestPathReset: a server that resets each connection at once.
func TestPathReset(t *testing.T) {
	t.Parallel()
	addr := pathServer(t, func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) })
	for _, send := range []string{"", "x"} {
		for range 10 {
			out, errs, status := keepaliveCommand("path", "-o", "json", "--send", send, addr)
			assert.Zero(t, status, errs)
			assert.Contains(t, out, `"verdict":"server-closes"`)
		}
	}
}

// TestPathWriteError: output that cannot be written ends the measurement.
func TestPathWriteError(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	for _, output := range []string{"text", "json"} {
		var errs strings.Builder
		status := run([]string{"path", "-o", output, "--max", "2s", pathServer(t, untilClosed)}, strings.NewReader(""), full, &errs)
		assert.Equal(t, 1, status)
		assert.Contains(t, errs.String(), "no space left on device")
	}
}

// TestPathInterruptedEarly: before the first connection.
func TestPathInterruptedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	root := newRootCommand()
	root.SetArgs([]string{"path", "-o", "json", "127.0.0.1:9"})
	root.SetOut(&out)
	root.SetErr(io.Discard)
	assert.Equal(t, errInterrupted, root.ExecuteContext(ctx))
	assert.Contains(t, out.String(), `"verdict":"unfinished","lower_seconds":null,"upper_seconds":null`)
}

// TestPathInterrupted: the command prints what is known so far.
func TestPathInterrupted(t *testing.T) {
	t.Parallel()
	addr := pathServer(t, untilClosed)
	for output, want := range map[string]string{
		"text": `(?s)[\d.]+s  answered.*\n\nNot finished\. The path kept connections open that were idle for [\d.]+s\.\n$`,
		"json": `^\{"address":"127.*","verdict":"unfinished","lower_seconds":[\d.]+,"upper_seconds":null,.*\}\n$`,
	} {
		t.Run(output, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, context.DeadlineExceeded)
			defer cancel()
			ctx, interrupt := context.WithCancel(ctx)
			defer interrupt()
			time.AfterFunc(6*time.Second, interrupt)
			var out, errs strings.Builder
			root := newRootCommand()
			root.SetArgs([]string{"path", "-o", output, addr})
			root.SetOut(&out)
			root.SetErr(&errs)
			assert.Equal(t, errInterrupted, root.ExecuteContext(ctx))
			assert.Regexp(t, want, out.String())
			assert.Empty(t, errs.String())
		})
	}
}

// TestPathText: the words for each verdict.
func TestPathText(t *testing.T) {
	second := time.Second
	for want, r := range map[string]idletimeout.Result{
		`The path drops a connection that has been idle for 4.7s to 5.4s. It sends nothing when it does.
Settings to use: keep-open=4s, which is idle=2s,interval=1s,count=3 here.
Only the direction to the server was measured.`: {Verdict: idletimeout.Drops, Lower: 4746 * time.Millisecond, Upper: 5370 * time.Millisecond},
		`The path drops a connection that has been idle for 5m49s to 5m52s, and answers the next segment with RST.
Settings to use: keep-open=5m49s, which is idle=4m39s,interval=31s,count=3 here.
Only the direction to the server was measured.`: {Verdict: idletimeout.Resets, Lower: 349500 * time.Millisecond, Upper: 351500 * time.Millisecond},
		`A connection that has been idle for 3m59s to 4m is closed with RST. Connections on which probes were sent stayed open.
Settings to use: keep-open=3m59s, which is idle=3m11s,interval=21s,count=3 here.
Only the direction to the server was measured.`: {Verdict: idletimeout.Closes, Lower: 239900 * time.Millisecond, Upper: 240 * second, Closed: &idletimeout.Closing{After: 240 * second, Reset: true}},
		`The server closes all connections at once.`: {Verdict: idletimeout.ServerCloses, Closed: &idletimeout.Closing{}, Refused: 3},
		`The server sends a segment without data, probably a keepalive probe, every 15.0s by itself. So no connection is idle for longer, and a longer timeout of the path does not matter and cannot be measured.
The path kept connections open that were idle for 14s.`: {Verdict: idletimeout.ServerProbes, Lower: 14 * second, Every: 15 * second},
		`The server sends data at least every second or so by itself. So no connection is idle for longer, and a longer timeout of the path does not matter and cannot be measured.`: {Verdict: idletimeout.ServerProbes, Data: true},
		`The server, or a proxy on the way, closes a connection with FIN when no data has arrived for 8.3s to 9.6s, even if probes are sent. Keepalive cannot prevent that: send data more often, or change the server's timeout.
The path kept connections open that were idle for 8.2s. Its timeout is longer than that, or there is none.
Connections of different ages were closed at the same time, so the server was probably restarted (restarts: 1). That was not counted.`: {Verdict: idletimeout.ServerCloses, Lower: 8200 * time.Millisecond, Closed: &idletimeout.Closing{After: 8300 * time.Millisecond, Longest: 9600 * time.Millisecond}, Restarts: 1},
		`Not finished. The path drops a connection that has been idle for 4s to 6s.
Only the direction to the server was measured.
The server closed some connections at once (7), so that fewer were used.
The network was down meanwhile (outages: 2). Probes of that time were not counted.`: {Verdict: idletimeout.Unfinished, Lower: 4 * second, Upper: 6 * second, Refused: 7, Outages: 2},
	} {
		assert.Equal(t, want, (&pathCommand{}).text(r))
	}
	for _, r := range []idletimeout.Result{
		{Verdict: idletimeout.NoAnswer},
		{Verdict: idletimeout.Unfinished},
		{Verdict: idletimeout.Open, Lower: time.Minute},
		{Verdict: idletimeout.ServerCloses, Closed: &idletimeout.Closing{After: second}, Reopened: true},
	} {
		assert.NotEmpty(t, (&pathCommand{}).text(r))
		assert.NotContains(t, (&pathCommand{}).text(r), "keep-open")
	}
}

// TestPathSendsNothing: no data without --send.
func TestPathSendsNothing(t *testing.T) {
	t.Parallel()
	data := make(chan int64, 200)
	addr := pathServer(t, func(conn net.Conn) {
		n, _ := io.Copy(io.Discard, conn)
		data <- n
	})
	_, _, status := keepaliveCommand("path", "--max", "2s", addr)
	assert.Zero(t, status)
	assert.Zero(t, <-data)
}

// TestStatusLineNoTerminal: a file gets no progress line.
func TestStatusLineNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer f.Close()
	s := statusLine{f, screenOf(f)}
	s.show("text")
	s.clear()
	info, err := f.Stat()
	require.NoError(t, err)
	assert.Zero(t, info.Size())
}
