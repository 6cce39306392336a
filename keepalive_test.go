package keepalive_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-keepalive/keepalive"
	"github.com/go-keepalive/keepalive/internal/testpeer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rounded is o with its durations rounded up to this system's units.
func rounded(o keepalive.Options) keepalive.Options {
	for f := range keepalive.NumFields {
		if r := f.Limits(); r != nil && !f.Unlimited(o) {
			d := time.Duration(f.Of(o))
			up := d.Truncate(r.Unit)
			if up < d {
				up += r.Unit
			}
			f.Set(&o, int64(up))
		}
	}
	return o
}

// sockopts is o as Linux has it.
func sockopts(o keepalive.Options) testpeer.Sockopts {
	s := testpeer.Sockopts{Idle: int(o.Idle / time.Second), Interval: int(o.Interval / time.Second), Count: o.Count}
	if !o.Disabled {
		s.KeepAlive = 1
	}
	if o.UserTimeout != keepalive.NoUserTimeout {
		s.UserTimeout = int(o.UserTimeout / time.Millisecond)
	}
	return s
}

// TestSetAndReadBack sets values that every system accepts, and reads them from inside and
// outside the process.
func TestSetAndReadBack(t *testing.T) {
	t.Parallel()
	typical := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3, UserTimeout: 30 * time.Second}
	with := func(change func(o *keepalive.Options)) keepalive.Options { o := typical; change(&o); return o }
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			conn, far := testpeer.New(t, network)
			for name, o := range map[string]keepalive.Options{
				"typical":                 typical,
				"small":                   {Idle: 10 * time.Second, Interval: 10 * time.Second, Count: 1, UserTimeout: time.Second},
				"idle rounded up":         with(func(o *keepalive.Options) { o.Idle = 12500 * time.Millisecond }),
				"idle rounded up by 1ns":  with(func(o *keepalive.Options) { o.Idle = 2*time.Hour - 1 }),
				"interval rounded up":     with(func(o *keepalive.Options) { o.Interval = 59*time.Second + 1 }),
				"large count":             with(func(o *keepalive.Options) { o.Count = 100 }),
				"no user timeout":         with(func(o *keepalive.Options) { o.UserTimeout = keepalive.NoUserTimeout }),
				"user timeout rounded up": with(func(o *keepalive.Options) { o.UserTimeout = time.Minute + 1 }),
				"off":                     with(func(o *keepalive.Options) { o.Disabled = true }),
			} {
				t.Run(name, func(t *testing.T) {
					testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, o))
					got, err := keepalive.Get(conn)
					testpeer.SkipIfUnsupported(t, err)
					if got.UserTimeout == 0 { // the system has none
						o.UserTimeout = 0
					}
					require.Equal(t, rounded(o), got)
					seen, err := far.Seen()
					testpeer.SkipIfUnsupported(t, err)
					require.Equal(t, sockopts(rounded(o)), seen)
				})
			}
		})
	}
}

// TestCapabilities: what this system supports does not become unsupported unnoticed. All other
// tests skip what is not supported.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	const options, userTimeout, get, inspect = "options", "user timeout", "Get", "Inspect"
	all := []string{options, userTimeout, get, inspect}
	supported := map[string][]string{
		"linux": all, "android": all, "darwin": all, "ios": all, "freebsd": all, "windows": all,
		"netbsd": {options, get}, "dragonfly": {options, get}, "aix": {options, get},
		"illumos": {options, userTimeout, get}, "solaris": {options, userTimeout, get},
	}[runtime.GOOS]
	for capability, missing := range rigLacks {
		if missing {
			supported = slices.DeleteFunc(slices.Clone(supported), func(s string) bool { return s == capability })
		}
	}
	conn, _ := testpeer.New(t, "tcp")
	o := keepalive.Options{Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3}
	_, gerr := keepalive.Get(conn)
	_, ierr := keepalive.Inspect(conn)
	for capability, err := range map[string]error{
		options:     keepalive.Enable(conn, o),
		userTimeout: keepalive.Enable(conn, keepalive.Options{UserTimeout: time.Minute}),
		get:         gerr,
		inspect:     ierr,
	} {
		if slices.Contains(supported, capability) {
			assert.NoError(t, err, capability)
		} else {
			assert.ErrorIs(t, err, errors.ErrUnsupported, capability)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	for f := range keepalive.NumFields {
		t.Run(f.String(), func(t *testing.T) {
			r := f.Limits()
			if r == nil {
				t.Skipf("not supported here: %s has no option for it", keepalive.HostName())
			}
			for _, v := range []int64{r.Min, r.Max} {
				var o keepalive.Options
				f.Set(&o, v*int64(r.Unit))
				err := keepalive.Enable(conn, o)
				if v == r.Max && err != nil && hostLimits {
					continue
				}
				testpeer.SkipIfUnsupported(t, err)
				got, err := keepalive.Get(conn)
				testpeer.SkipIfUnsupported(t, err)
				assert.Equal(t, f.Of(o), f.Of(got))
			}
			var least keepalive.Options
			f.Set(&least, 1)
			if r.Min == 1 {
				require.NoError(t, keepalive.Enable(conn, least), "one nanosecond, or one")
				got, err := keepalive.Get(conn)
				require.NoError(t, err)
				assert.Equal(t, int64(r.Unit), f.Of(got))
			}
		})
	}
}

func TestZeroLeavesAlone(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	before := keepalive.Options{Idle: 40 * time.Second, Interval: 20 * time.Second, Count: 7, UserTimeout: 90 * time.Second}
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, before))
	testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, keepalive.Options{}))
	got, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	assert.Equal(t, before, got)
	require.NoError(t, keepalive.Enable(conn, keepalive.Options{Interval: 30 * time.Second}))
	got, err = keepalive.Get(conn)
	require.NoError(t, err)
	before.Interval = 30 * time.Second
	assert.Equal(t, before, got)
}

func TestDisable(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	fresh, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	assert.True(t, fresh.Disabled, "off, before anyone turned it on")
	o := keepalive.Options{Idle: 40 * time.Second, Interval: 20 * time.Second, Count: 7, UserTimeout: 80 * time.Second}
	if fresh.UserTimeout == 0 { // none here
		o.UserTimeout = 0
	}
	require.NoError(t, keepalive.Enable(conn, o))
	require.NoError(t, keepalive.Disable(conn))
	got, err := keepalive.Get(conn)
	require.NoError(t, err)
	assert.True(t, got.Disabled)
	assert.Equal(t, o.UserTimeout, got.UserTimeout)
	assert.Equal(t, o.Idle, got.Idle)
	assert.Equal(t, o.Interval, got.Interval)
	assert.Equal(t, o.Count, got.Count)
}

// TestRestore holds Get's promise, the user timeout included.
func TestRestore(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	fresh, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	for _, o := range []keepalive.Options{
		{Idle: 40 * time.Second, Interval: 20 * time.Second, Count: 7, UserTimeout: 90 * time.Second},
		{Idle: 41 * time.Second, Interval: 21 * time.Second, Count: 8, UserTimeout: keepalive.NoUserTimeout, Disabled: true},
	} {
		testpeer.SkipIfUnsupported(t, keepalive.Enable(conn, o))
		require.NoError(t, keepalive.Enable(conn, fresh))
		got, err := keepalive.Get(conn)
		require.NoError(t, err)
		want := fresh
		for f := range keepalive.NumFields {
			if f.Of(fresh) == 0 { // illumos: not set, and it cannot be unset
				f.Set(&want, f.Of(got))
			}
		}
		assert.Equal(t, want, got)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	o := keepalive.Options{Idle: 33 * time.Second, Interval: 11 * time.Second, Count: 4}
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain":                func(c net.Conn) net.Conn { return c },
		"tls":                  func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{ServerName: "x"}) },
		"embeds net.Conn":      func(c net.Conn) net.Conn { return embedsConn{c} },
		"pointer to that":      func(c net.Conn) net.Conn { return &embedsConn{c} },
		"embeds TCPConn":       func(c net.Conn) net.Conn { return embedsTCP{c.(*net.TCPConn)} },
		"embeds a wrapper":     func(c net.Conn) net.Conn { return embedsPrivate{&embedsConn{c}} },
		"embeds an alias":      func(c net.Conn) net.Conn { return &embedsAlias{c} },
		"alias by value":       func(c net.Conn) net.Conn { return embedsAlias{c} },
		"embeds by value":      func(c net.Conn) net.Conn { return &embedsByValue{byPointer{c}} },
		"embeds by value only": func(c net.Conn) net.Conn { return &shadowsNetConn{byPointer{c}} },
		"NetConn of TCPConn":   func(c net.Conn) net.Conn { return tcpNetConner{hidden{}, c.(*net.TCPConn)} },
		"NetConn":              func(c net.Conn) net.Conn { return netConner{hidden{}, c} },
		"Unwrap":               func(c net.Conn) net.Conn { return unwrapper{hidden{}, c} },
		"Raw":                  func(c net.Conn) net.Conn { return rawer{hidden{}, c} },
		"UnderlyingConn":       func(c net.Conn) net.Conn { return underlier{hidden{}, c} },
		"refusing SyscallConn": func(c net.Conn) net.Conn {
			return refuses{c}
		},
		"several deep": func(c net.Conn) net.Conn {
			c = &embedsConn{tls.Server(rawer{hidden{}, embedsTCP{c.(*net.TCPConn)}}, nil)}
			return unwrapper{hidden{}, tls.Client(underlier{hidden{}, c}, &tls.Config{ServerName: "x"})}
		},
	} {
		for _, network := range []string{"tcp4", "tcp6"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				t.Parallel()
				conn, _ := testpeer.New(t, network)
				testpeer.SkipIfUnsupported(t, keepalive.Enable(wrap(conn), o))
				got, err := keepalive.Get(conn)
				require.NoError(t, err)
				assert.Equal(t, []any{o.Idle, o.Interval, o.Count, false}, []any{got.Idle, got.Interval, got.Count, got.Disabled})
				through, err := keepalive.Get(wrap(conn))
				require.NoError(t, err)
				assert.Equal(t, got, through)
				require.NoError(t, keepalive.Disable(wrap(conn)))
				got, err = keepalive.Get(conn)
				require.NoError(t, err)
				assert.True(t, got.Disabled)
			})
		}
	}
}

func TestNotConnections(t *testing.T) {
	t.Parallel()
	self := &wrapsItself{}
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err == nil {
		t.Cleanup(func() { udp.Close() })
	}
	tcp, _ := testpeer.New(t, "tcp")
	for name, c := range map[string]struct {
		conn net.Conn
		want string // in the error
		is   error
	}{
		"nil":                   {nil, "is nil", nil},
		"typed nil":             {(*net.TCPConn)(nil), "nil *net.TCPConn", nil},
		"typed nil tls":         {(*tls.Conn)(nil), "nil *tls.Conn", nil},
		"embedded nil":          {embedsConn{}, "inside keepalive_test.embedsConn is nil", nil},
		"embedded typed nil":    {embedsConn{(*net.TCPConn)(nil)}, "nil *net.TCPConn", nil},
		"promoted from nil":     {embedsTCP{}, "keepalive_test.embedsTCP", nil},
		"wraps itself":          {self, "wraps itself", nil},
		"wraps itself, deeper":  {tls.Client(self, &tls.Config{ServerName: "x"}), "wraps itself", nil},
		"pipe":                  {here, "pipe", keepalive.ErrNotTCP},
		"tls over a pipe":       {tls.Client(here, &tls.Config{ServerName: "x"}), "pipe", keepalive.ErrNotTCP},
		"udp":                   {udp, "*net.UDPConn: not a TCP", keepalive.ErrNotTCP},
		"zero TCPConn":          {new(net.TCPConn), "*net.TCPConn has no socket", nil},
		"refuses SyscallConn":   {refusesOnly{}, "keepalive_test.refusesOnly has no socket: SyscallConn: not available", nil},
		"gives no RawConn":      {givesNil{}, "SyscallConn of keepalive_test.givesNil returned nil", nil},
		"RawConn does nothing":  {idles{}, "RawConn.Control of keepalive_test.idles did not call", nil},
		"a descriptor of none":  {strays{}, "socket of keepalive_test.strays: ", nil},
		"hides TCP":             {hides{c: tcp}, "cannot find the socket of keepalive_test.hidden", nil},
		"nothing inside at all": {hidden{}, "cannot find the socket of keepalive_test.hidden", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "udp" && err != nil {
				t.Skipf("not supported here: %v", err)
			}
			_, gerr := keepalive.Get(c.conn)
			for _, err := range []error{keepalive.Enable(c.conn, keepalive.Options{}), keepalive.Disable(c.conn), gerr} {
				require.ErrorContains(t, err, c.want)
				if c.is != nil {
					assert.ErrorIs(t, err, c.is)
				}
				assert.Equal(t, c.is == keepalive.ErrNotTCP, errors.Is(err, errors.ErrUnsupported))
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ka") // t.TempDir's names are too long for a socket on some
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Skipf("not supported here: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	err = keepalive.Enable(conn, keepalive.Options{})
	require.ErrorIs(t, err, keepalive.ErrNotTCP)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "*net.UnixConn: not a TCP")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	conn.Close()
	_, gerr := keepalive.Get(conn)
	_, werr := keepalive.Get(embedsConn{conn})
	for _, err := range []error{keepalive.Enable(conn, keepalive.Options{}), keepalive.Disable(conn), keepalive.Enable(embedsConn{conn}, keepalive.Options{}), gerr, werr} {
		require.ErrorIs(t, err, net.ErrClosed)
		assert.NotErrorIs(t, err, errors.ErrUnsupported)
	}
}

// TestReset: whatever the kernel says to a setting on a dead connection, the
// reason of its death is still there to be read afterwards.
func TestReset(t *testing.T) {
	t.Parallel()
	conn, far := testpeer.New(t, "tcp")
	require.NoError(t, far.Reset())
	// Once the RST has arrived, the socket is readable and has no peer. To look
	// for that consumes nothing.
	rc, err := conn.SyscallConn()
	require.NoError(t, err)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	err = rc.Read(func(fd uintptr) bool { return keepalive.Getpeername(fd) != nil })
	consumed := reset(err) // on Windows, where it is a real read
	if !consumed {
		testpeer.SkipIfUnsupported(t, err)
	}
	_, gerr := keepalive.Get(conn)
	for i, err := range []error{keepalive.Enable(conn, keepalive.Options{Idle: 45 * time.Second}), keepalive.Disable(conn), gerr} {
		if err == nil && (i == 0 || consumed) {
			continue // Linux takes it; Wine knows the peer's address to the end
		}
		assert.Truef(t, notConnected(err), "%v", err)
		assert.NotErrorIs(t, err, errors.ErrUnsupported)
	}
	_, err = conn.Read(make([]byte, 1))
	assert.Truef(t, consumed || reset(err), "%v", err)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	const huge = time.Duration(1<<63 - 2)
	conn, _ := testpeer.New(t, "tcp")
	before, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	for _, c := range []struct {
		o      keepalive.Options
		option string
		value  any
	}{
		{keepalive.Options{Idle: -1}, "Idle", time.Duration(-1)},
		{keepalive.Options{Idle: 45 * time.Second, Interval: -time.Second}, "Interval", -time.Second},
		{keepalive.Options{Idle: 45 * time.Second, Count: -3}, "Count", -3},
		{keepalive.Options{Idle: 45 * time.Second, UserTimeout: -time.Hour}, "UserTimeout", -time.Hour},
		{keepalive.Options{Idle: huge, Count: 3}, "Idle", huge},
		{keepalive.Options{Idle: 45 * time.Second, Interval: huge}, "Interval", huge},
		{keepalive.Options{Idle: 45 * time.Second, Interval: keepalive.NoUserTimeout}, "Interval", keepalive.NoUserTimeout},
		{keepalive.Options{Idle: 45 * time.Second, UserTimeout: huge}, "UserTimeout", huge},
		{keepalive.Options{Idle: -1 << 63, Disabled: true}, "Idle", time.Duration(-1 << 63)},
	} {
		f := keepalive.Field(map[string]int{"Idle": 0, "Interval": 1, "Count": 2, "UserTimeout": 3}[c.option])
		r := f.Limits()
		if r == nil && f.Of(c.o) > 0 {
			continue // nothing is out of the range of what is missing
		}
		for _, err := range []error{keepalive.Enable(conn, c.o), c.o.Validate(), c.o.Control("tcp4", "", nil)} {
			var oe *keepalive.OptionError
			require.ErrorAs(t, err, &oe)
			assert.Equal(t, c.option, oe.Option)
			assert.Equal(t, c.value, oe.Value)
			assert.NotErrorIs(t, err, errors.ErrUnsupported)
			assert.ErrorContains(t, err, fmt.Sprint(c.value))
			if r != nil {
				assert.ErrorContains(t, err, fmt.Sprint(f.Value(r.Min*int64(r.Unit))))
				assert.ErrorContains(t, err, fmt.Sprint(f.Value(r.Max*int64(r.Unit))))
			}
		}
		after, err := keepalive.Get(conn)
		require.NoError(t, err)
		require.Equal(t, before, after, "nothing half set")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	conn, _ := testpeer.New(t, "tcp")
	for _, o := range []keepalive.Options{{}, {Disabled: true}, {Idle: 45 * time.Second, Interval: 15 * time.Second, Count: 3, UserTimeout: time.Minute}, {UserTimeout: keepalive.NoUserTimeout}} {
		want := keepalive.Enable(conn, o)
		if want == nil {
			assert.NoError(t, o.Validate())
		} else {
			assert.EqualError(t, o.Validate(), want.Error())
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	o := keepalive.Options{Idle: 44 * time.Second, Interval: 14 * time.Second, Count: 4}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	d := net.Dialer{Control: o.Control, KeepAlive: -1}
	conn, err := d.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	got, err := keepalive.Get(conn)
	testpeer.SkipIfUnsupported(t, err)
	assert.Equal(t, []any{o.Idle, o.Interval, o.Count, false}, []any{got.Idle, got.Interval, got.Count, got.Disabled})

	require.NoError(t, o.Control("unix", "", nil), "other networks pass through")

	d.Control = keepalive.Options{Idle: -1}.Control
	_, err = d.Dial("tcp", l.Addr().String())
	var oe *keepalive.OptionError
	require.ErrorAs(t, err, &oe)
}

// TestUndisturbed: deadlines work after a setting, and reads and writes in
// progress during it go on.
func TestUndisturbed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	far, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })

	size := 8 << 20
	if testing.Short() {
		size >>= 5
	}
	sent := bytes.Repeat([]byte("keepalive"), size/9)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { // settings, all the while
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			err := keepalive.Enable(conn, keepalive.Options{Idle: time.Duration(30+n%2) * time.Second})
			if !errors.Is(err, errors.ErrUnsupported) {
				assert.NoError(t, err)
			}
			if _, err = keepalive.Get(conn); !errors.Is(err, errors.ErrUnsupported) {
				assert.NoError(t, err)
			}
			assert.NoError(t, keepalive.Disable(conn))
		}
	})
	wg.Go(func() { io.CopyN(far, far, int64(len(sent))) }) // there and back
	wg.Go(func() { conn.Write(sent) })
	got := make([]byte, len(sent))
	conn.SetReadDeadline(time.Now().Add(40 * time.Second))
	_, err = io.ReadFull(conn, got)
	close(stop)
	wg.Wait()
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got))

	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = conn.Read(got)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

var rounds = flag.Int("rounds", 0, "rounds of TestConcurrentClose, instead of 3000, or 100 with -short")

// TestConcurrentClose closes a connection while it is being set and read.
func TestConcurrentClose(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c.Read(make([]byte, 1)) // until the RST
				c.Close()
			}()
		}
	}()
	check := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, errors.ErrUnsupported) && !notConnected(err) {
			t.Error(err)
		}
	}
	n := *rounds
	switch {
	case n == 0 && testing.Short():
		n = 100
	case n == 0:
		n = 3000
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range (n + 3) / 4 {
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				conn.(*net.TCPConn).SetLinger(0) // no port is left in TIME_WAIT
				var wg sync.WaitGroup
				wg.Go(func() {
					check(keepalive.Enable(conn, keepalive.Options{Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}))
				})
				wg.Go(func() { _, err := keepalive.Get(conn); check(err) })
				wg.Go(func() { check(keepalive.Disable(embedsConn{conn})) })
				conn.Close()
				wg.Wait()
				if err := keepalive.Enable(conn, keepalive.Options{}); !errors.Is(err, net.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			}
		})
	}
	workers.Wait()
}
