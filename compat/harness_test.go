package compat

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
)

// opts drops a connection to a dead peer after 3s, or after 3.4s with data in flight. Without
// the user timeout, an idle connection is dropped after 4s.
var opts = keepalive.Options{Idle: time.Second, Interval: time.Second, Count: 3, UserTimeout: 3 * time.Second}

const (
	detection = 3300 * time.Millisecond
	limit     = 15 * time.Second // "no error in 15s"
	patience  = time.Minute      // for what takes no time on an idle machine
)

// A library is one subject of the tests. Its file calls register in an init function.
type library struct {
	name   string // as in the document
	module string // the path of its module, or "std"
	area   string // the section of the document
	cases  []libraryCase
	file   string // the file that registers it, with its notes and recipes
}

// A libraryCase is a row of a table. It has one of client, server and config.
type libraryCase struct {
	name string // "" for the only one

	// client makes a client whose connections have opts: with r.dialer() or r.dial. It
	// connects to r.addr, where the relay is, after it has called r.setServer with the
	// address of the real server.
	client func(r *run) session

	// server starts a server whose connections have opts: with r.listen. Then it makes a client
	// with r.dialPlain. If r.busy is false, the server's side of the connection is then idle.
	// Otherwise the server sends data all the time, or waits for an answer to data it has sent.
	// The server calls r.report with the error that it gets when the client is dead.
	server func(r *run)

	// config reads Options from a setting with this text, in the way of the library.
	config func(text string) (keepalive.Options, error)

	// varies has outcomes of which the busy run gets one or another, for example raced.
	varies []string

	noKeepError bool // the library accepts no wrapper around a *net.TCPConn
}

// raced is for libraryCase.varies: a reader and a writer race for ETIMEDOUT, and the loser gets EPIPE.
var raced = []string{"`EPIPE` (reset)", "`ETIMEDOUT` (dead)"}

// A session is a client with a connection.
type session struct {
	// use makes a request and waits for the answer. It is called before the peer is dead, and
	// again afterwards. It must not set a deadline of its own. ctx has none either. It is nil if
	// the library only receives.
	use func(ctx context.Context) error

	// wait waits until the library reports that the idle connection ended. It is nil if the
	// program learns that only with the next request.
	wait func(ctx context.Context) error
}

var libraries []library

func register(l library) {
	_, l.file, _, _ = runtime.Caller(1)
	libraries = append(libraries, l)
}

// A run is one connection that ends with a dead peer.
type run struct {
	*testing.T
	addr string // where a client connects to
	keep bool   // wrap connections with KeepError
	busy bool   // data is in flight when the peer is dead

	all    testing.TB // the test that all runs belong to
	relay  *relay
	varies []string // of libraryCase
	inTurn bool     // the run has its turn, see turns

	mu       sync.Mutex
	kept     []error        // what KeepError's function got
	plain    []*net.TCPConn // from dialPlain
	found    string         // from accepted
	reported chan error
}

// setServer sets the address of the server that r.addr leads to.
func (r *run) setServer(addr string) { r.relay.setServer(addr) }

// dialer returns the dialer of a recipe.
func (r *run) dialer() *net.Dialer { return keepalive.Dialer(nil, opts) }

// dial is the dial function of a recipe. It dials with r.dialer, and wraps the connection with
// KeepError in half of the runs.
func (r *run) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := r.dialer().DialContext(ctx, network, addr)
	if err != nil || !r.keep {
		return conn, err
	}
	return keepalive.KeepError(conn, r.onError), nil
}

func (r *run) onError(_ net.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, err)
}

// listen returns the listener of a recipe: with ListenConfig, and in half of the runs with
// KeepError. It is closed after the run.
func (r *run) listen() net.Listener {
	ln, err := keepalive.ListenConfig(nil, opts).Listen(r.Context(), "tcp", "127.0.0.1:0")
	require.NoError(r, err)
	r.Cleanup(func() { ln.Close() })
	if r.keep {
		return keepErrors{ln, r.onError}
	}
	return ln
}

// dialPlain is the dial function of a client that becomes a dead peer of a server.
func (r *run) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plain = append(r.plain, conn.(*net.TCPConn))
	return conn, nil
}

// report records the first error that a server gets.
func (r *run) report(err error) {
	select {
	case r.reported <- err:
	default:
	}
}

// accepted records whether Get accepts the connection that a library passes to its user. Call
// it at any time before the peer is dead.
func (r *run) accepted(conn net.Conn) {
	found := "yes"
	if o, err := keepalive.Get(conn); err != nil {
		found = "no: " + clean(err)
	} else if o.Idle != opts.Idle {
		found = "no"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = found
}

// A sharedServer is what once has started.
type sharedServer struct {
	sync.Once
	first *testing.T // the test that started it
	value string
}

var sharedServers sync.Map // by sharedKey

type sharedKey struct {
	all testing.TB
	key string
}

// once starts a server for all runs. It calls start once for each key, and returns its result,
// for example an address. The cleanup functions of t run after the last run. Other runs
// are skipped if start skips its test, and fail if it fails.
func (r *run) once(key string, start func(t testing.TB) string) string {
	entry, _ := sharedServers.LoadOrStore(sharedKey{r.all, key}, &sharedServer{})
	s := entry.(*sharedServer)
	if r.inTurn {
		<-turns // do not hold up others
		defer func() { turns <- struct{}{} }()
	}
	s.Do(func() {
		s.first = r.T
		s.value = start(sharedTB{r.T, r.all})
	})
	switch {
	case s.value != "":
	case s.first.Skipped():
		r.Skipf("not supported here: %s, see %s", key, s.first.Name())
	default:
		r.Fatalf("%s did not start, see %s", key, s.first.Name())
	}
	return s.value
}

// sharedTB fails or skips one test, but lasts until all tests are done.
type sharedTB struct {
	testing.TB
	all testing.TB
}

func (t sharedTB) Cleanup(f func())         { t.all.Cleanup(f) }
func (t sharedTB) TempDir() string          { return t.all.TempDir() }
func (t sharedTB) Context() context.Context { return t.all.Context() }

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "1000") // runs wait, and do not compute
	os.Exit(m.Run())
}

// TestLibraries measures what is in docs/libraries.md. A row that differs from the document is
// measured again, because a busy machine can delay a run.
func TestLibraries(t *testing.T) {
	_, far := testpeer.New(t, "tcp")
	testpeer.SkipIfUnsupported(t, far.Deaf())
	slices.SortFunc(libraries, func(a, b library) int { return strings.Compare(a.name, b.name) })
	doc := readDocument(t)
	rows := map[string]string{}
	var mu sync.Mutex
	for attempt := range 3 {
		t.Run(fmt.Sprintf("attempt%d", attempt+1), func(group *testing.T) {
			for _, l := range libraries {
				for _, c := range l.cases {
					key := rowKey(l, c)
					if attempt > 0 && (rows[key] == "" || rows[key] == doc.rows[key]) {
						continue
					}
					group.Run(strings.ReplaceAll(key, "/", "-"), func(u *testing.T) {
						u.Parallel()
						measure(u, t, c, func(cells []string) {
							mu.Lock()
							defer mu.Unlock()
							rows[key] = "| " + key + " | " + strings.Join(cells, " | ") + " |"
						})
					})
				}
			}
		})
		if *update || t.Failed() {
			break
		}
	}
	if *update {
		doc.write(t, rows)
		return
	}
	if t.Failed() {
		return
	}
	for key, row := range rows {
		assert.Equal(t, doc.rows[key], row, "docs/libraries.md differs, go test -update writes it")
	}
	if flag.Lookup("test.run").Value.String() == "" {
		assert.Equal(t, doc.text, doc.generate(t, rows), "docs/libraries.md differs, go test -update writes it")
	}
}

func rowKey(l library, c libraryCase) string {
	if c.name == "" {
		return l.name
	}
	return l.name + ", " + c.name
}

// measure makes the runs of a case, and calls done with the cells of its row.
func measure(t *testing.T, all testing.TB, c libraryCase, done func([]string)) {
	if c.config != nil {
		done(configCells(c.config))
		return
	}
	runs := []string{"idle", "busy", "idle with KeepError", "busy with KeepError"}
	if c.noKeepError {
		runs = runs[:2]
	}
	facts := make([]facts, len(runs))
	t.Cleanup(func() {
		if !t.Failed() && facts[0].options != "" { // not skipped
			done(cells(c, facts))
		}
	})
	for i, name := range runs {
		t.Run(name, func(u *testing.T) {
			u.Parallel()
			r := newRun(u, all)
			r.keep, r.busy = i >= 2, i%2 == 1
			if r.busy {
				r.varies = c.varies
			}
			if c.client != nil {
				facts[i] = r.client(c)
			} else {
				facts[i] = r.server(c)
			}
		})
	}
}

// turns has room for a few runs. Only so many run at the same time until their peer is dead, so
// that the time before is short. After that, all runs wait at the same time.
var turns = make(chan struct{}, 4)

func newRun(t *testing.T, all testing.TB) *run {
	relay := newRelay(t)
	return &run{T: t, all: all, relay: relay, addr: relay.ln.Addr().String(), reported: make(chan error, 1), found: "–"}
}

// takeTurn waits until the run may begin. The run calls done when its peer is dead.
func (r *run) takeTurn() (done func()) {
	turns <- struct{}{}
	r.inTurn = true
	done = sync.OnceFunc(func() {
		<-turns
		r.inTurn = false
	})
	r.Cleanup(done) // if the run fails
	return done
}

// facts are what a run found.
type facts struct {
	options string
	found   string // a server: whether Get accepts the connections of the library
	outcome string
	kept    string // the cause that KeepError's function got
}

func (r *run) client(c libraryCase) facts {
	done := r.takeTurn()
	s := c.client(r)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if s.use != nil {
		o := boundedBy(patience, ctx, s.use)
		require.False(r, o.over, "the request before the peer is dead has no answer")
		require.NoError(r, o.err, "the request before the peer is dead")
	}
	sockets := otherEnds(r.relay.conns())
	f := facts{options: r.options(sockets)}
	switch {
	case r.busy && s.use == nil:
		f.outcome = "–"
		return f
	case r.busy:
		r.relay.setDead(r)
		done()
		f.outcome = r.outcome(bounded(ctx, s.use))
	case s.wait != nil:
		ended := make(chan outcome, 1)
		go func() { ended <- bounded(ctx, s.wait) }()
		time.Sleep(100 * time.Millisecond) // by then it waits
		r.relay.setDead(r)
		done()
		f.outcome = r.outcome(<-ended)
	default:
		r.relay.setDead(r)
		done()
		if !awaitEnd(sockets) {
			f.outcome = notDropped
			break
		}
		r.relay.restart(r)
		await(time.Second, func() bool { return !slices.ContainsFunc(sockets, socket.isOpen) }) // a library that reads closes it
		f.outcome = "next request: " + r.outcome(bounded(ctx, s.use))
	}
	r.relay.close() // before the cleanup functions of the library, which may wait for an answer
	f.kept = r.keptCause()
	return f
}

func (r *run) server(c libraryCase) facts {
	done := r.takeTurn()
	c.server(r)
	r.mu.Lock()
	conns := r.plain
	r.mu.Unlock()
	require.NotEmpty(r, conns, "the client did not use dialPlain")
	sockets := otherEnds(conns)
	f := facts{options: r.options(sockets), found: r.found}
	cut(conns, sockets, true)
	done()
	start := time.Now()
	ended := make(chan outcome, 1)
	go func() {
		ended <- bounded(r.Context(), func(ctx context.Context) error {
			select {
			case err := <-r.reported:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer cut(conns, sockets, false)
	if !awaitEnd(sockets) {
		f.outcome = notDropped
		return f
	}
	dropped := times(time.Since(start))
	closed := await(2*time.Second, func() bool { return !slices.ContainsFunc(sockets, socket.isOpen) })
	o := <-ended
	f.outcome = r.outcome(o)
	if o.over {
		f.outcome = "dropped " + dropped + ", the handler gets nothing"
	}
	if !closed {
		f.outcome += ", the socket stays open"
	}
	for _, c := range conns {
		c.SetLinger(0)
		c.Close()
	}
	f.kept = r.keptCause()
	return f
}

const notDropped = "not dropped in 15s"

// awaitEnd waits until the kernel has dropped all connections, or the library has closed them.
func awaitEnd(sockets []socket) bool {
	return await(limit, func() bool { return !slices.ContainsFunc(sockets, socket.isConnected) })
}

// keptCause returns the cause that KeepError's function got.
func (r *run) keptCause() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 {
		return "not called"
	}
	return keepalive.Diagnose(r.kept[0]).String()
}

// otherEnds returns the open sockets at the other ends of conns.
func otherEnds(conns []*net.TCPConn) []socket {
	var open []socket
	for _, c := range conns {
		if s, ok := otherEnd(c); ok {
			open = append(open, s)
		}
	}
	return open
}

// options returns "ours" if the sockets have opts. Otherwise it returns what differs.
func (r *run) options(sockets []socket) string {
	require.NotEmpty(r, sockets, "no connection is open")
	var all []string
	for _, s := range sockets {
		got, err := keepalive.Get(s)
		require.NoError(r, err)
		if text := differences(got); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		return "ours"
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// differences returns the options that are not those of opts.
func differences(got keepalive.Options) string {
	var list []string
	add := func(name string, got, want any) {
		if got != want {
			list = append(list, fmt.Sprintf("%s %v", name, got))
		}
	}
	if got.Disabled {
		list = append(list, "off")
	}
	add("idle", got.Idle, opts.Idle)
	add("interval", got.Interval, opts.Interval)
	add("count", got.Count, opts.Count)
	if got.UserTimeout == keepalive.NoUserTimeout {
		return strings.Join(append(list, "no user timeout"), ", ")
	}
	add("user timeout", got.UserTimeout, opts.UserTimeout)
	return strings.Join(list, ", ")
}

// await calls f until it returns true. It returns false after the limit.
func await(limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if f() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// An outcome is an error and the time after which it was returned.
type outcome struct {
	err  error
	took time.Duration
	over bool // no error within the limit
}

// bounded calls f, and cancels its context after the limit.
func bounded(ctx context.Context, f func(context.Context) error) outcome {
	return boundedBy(limit, ctx, f)
}

func boundedBy(limit time.Duration, ctx context.Context, f func(context.Context) error) outcome {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan outcome, 1)
	start := time.Now()
	go func() {
		err := f(ctx)
		done <- outcome{err: err, took: time.Since(start)}
	}()
	select {
	case o := <-done:
		return o
	case <-time.After(limit):
		return outcome{over: true}
	}
}

// outcome returns the text for the table.
func (r *run) outcome(o outcome) string {
	switch {
	case o.over:
		r.Logf("no error in %v", limit)
		return fmt.Sprintf("nothing in %v", limit)
	case o.err == nil:
		r.Logf("success after %v", o.took)
		return "success, " + times(o.took)
	}
	r.Logf("%v after %v: %T", o.err, o.took, o.err)
	if o.err == errClosed {
		return "hook, " + times(o.took)
	}
	text := describe(o.err) + " (" + keepalive.Diagnose(o.err).String() + ")"
	decided := r.keep && slices.Equal(r.varies, raced) // reader and writer get the same error
	if slices.Contains(r.varies, text) && !decided {
		text = strings.Join(r.varies, " or ")
	}
	return text + ", " + times(o.took)
}

// times returns a time as a multiple of the detection time. A busy machine makes it longer, but
// not much shorter. A dial takes a second more if its first SYN is lost, which counts as at once.
// A connection that was just probed is dropped after 2s or later.
func times(d time.Duration) string {
	if d < 2*time.Second {
		return "at once"
	}
	return fmt.Sprintf("%d×", max(1, int((d+1400*time.Millisecond)/detection)))
}

// describe returns the well-known error that err matches, or its text.
func describe(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{syscall.ETIMEDOUT, "ETIMEDOUT"}, {syscall.ECONNRESET, "ECONNRESET"}, {syscall.EPIPE, "EPIPE"},
		{io.ErrUnexpectedEOF, "io.ErrUnexpectedEOF"}, {io.EOF, "io.EOF"}, {os.ErrDeadlineExceeded, "os.ErrDeadlineExceeded"},
		{context.DeadlineExceeded, "context.DeadlineExceeded"}, {context.Canceled, "context.Canceled"}, {net.ErrClosed, "net.ErrClosed"},
	} {
		if errors.Is(err, known.err) {
			return "`" + known.name + "`"
		}
	}
	return clean(err)
}

var operation = regexp.MustCompile(`(read|write) tcp \S+->\S+: (read: |write: )?`)

var address = regexp.MustCompile(`\[?[0-9a-f.:]*[.:][0-9a-f.:]*\]?:\d+`)

// clean returns the text of err without addresses, for a table.
func clean(err error) string {
	text := address.ReplaceAllString(operation.ReplaceAllString(err.Error(), ""), "ADDR")
	text = strings.NewReplacer("\n", " ", "|", "/", "`", "'").Replace(text)
	if r := []rune(text); len(r) > 90 {
		text = string(r[:90]) + "…"
	}
	return "“" + text + "”"
}

// cells returns the cells of a row after the first.
func cells(c libraryCase, f []facts) []string {
	cells := []string{f[0].options}
	if c.server != nil {
		cells = append(cells, f[0].found)
	}
	cells = append(cells, f[0].outcome, f[1].outcome)
	if len(f) == 2 {
		return append(cells, "–", "–", "–")
	}
	if o := f[2].options; o != cells[0] {
		cells[0] += "; with KeepError: " + o
	}
	for i := range 2 {
		text := f[2+i].outcome
		if text == f[i].outcome && text != "–" {
			text = "the same"
		}
		cells = append(cells, text)
	}
	kept := f[2].kept
	if f[3].kept != kept && f[3].outcome != "–" {
		kept = "idle: " + kept + ", busy: " + f[3].kept
	}
	return append(cells, kept)
}

// configCells tries a good text and a bad one.
func configCells(read func(text string) (keepalive.Options, error)) []string {
	good := "yes"
	if o, err := read(opts.String()); err != nil {
		good = "no: " + clean(err)
	} else if o != opts {
		good = "no: without an error, the result is `" + o.String() + "`"
	}
	bad := "an error"
	if o, err := read("idle=45"); err == nil {
		bad = "no error, the result is `" + o.String() + "`"
	} else if !strings.Contains(err.Error(), "45s") {
		bad = "an error without the reason: " + clean(err)
	}
	return []string{good, bad}
}

// serveConn is a server of one connection: it reads until there is an error, or if r.busy, it
// writes.
func serveConn(r *run, conn net.Conn) {
	defer conn.Close()
	r.accepted(conn)
	if r.busy {
		r.report(keepWriting(context.Background(), conn, nil))
		return
	}
	for b := make([]byte, 100); ; {
		if _, err := conn.Read(b); err != nil {
			r.report(err)
			return
		}
	}
}

// echo starts a server that sends back what it receives, and returns its address.
func (r *run) echo() string {
	return r.once("echo", func(t testing.TB) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		go acceptLoop(ln, func(conn net.Conn) { io.Copy(conn, conn) })
		return ln.Addr().String()
	})
}

// acceptLoop calls serve for each connection, in a goroutine. It closes the connection after it.
func acceptLoop(ln net.Listener, serve func(net.Conn)) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

// echoSession is a client of an echo server.
func echoSession(conn io.ReadWriter) session {
	b := make([]byte, 1)
	return session{
		use: func(context.Context) error {
			if _, err := conn.Write(b); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, b)
			return err
		},
		wait: func(context.Context) error {
			_, err := conn.Read(b)
			return err
		},
	}
}

// plainConn returns a connection to addr whose server gets a dead peer.
func (r *run) plainConn(addr string) net.Conn {
	conn, err := r.dialPlain(r.Context(), "tcp", addr)
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	go io.Copy(io.Discard, conn)
	return conn
}

// keepWriting writes a little again and again, until there is an error or ctx is done.
func keepWriting(ctx context.Context, w io.Writer, flush func()) error {
	for {
		if _, err := w.Write(make([]byte, 100)); err != nil {
			return err
		}
		if flush != nil {
			flush()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var (
	errClosed  = errors.New("a hook for closed connections, which gets no error")
	errNotOK   = errors.New("the status is not 200")
	discardLog = log.New(io.Discard, "", 0)
)

// awaitAccepted waits until the server has called r.accepted.
func (r *run) awaitAccepted() {
	ok := await(patience, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.found != "–"
	})
	require.True(r, ok, "the server has no connection")
}

type writerFunc func([]byte) error

func (f writerFunc) Write(b []byte) (int, error) { return len(b), f(b) }
