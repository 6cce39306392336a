package idletimeout

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// socket is the socket of a connection.
type socket struct {
	tcp          *net.TCPConn
	stream       net.Conn // tcp, or TLS
	segments     uint32   // that had arrived when the socket was read last
	dataSegments uint32
}

// info is what TCP_INFO reports.
type info struct {
	established  bool
	segments     uint32        // that have arrived
	dataSegments uint32        // of these, with data
	silence      time.Duration // since the last segment, but not since a probe of the peer
	dataSilence  time.Duration // since the last segment with data
	rtt          time.Duration
}

// info reads the segment counters, which keepalive.Inspect does not return. They show the
// probes of the peer, too.
func (s *socket) info() (info, error) {
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return info{}, err
	}
	var t *unix.TCPInfo
	var failed error
	err = raw.Control(func(fd uintptr) {
		t, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err = errors.Join(err, failed); err != nil {
		return info{}, err
	}
	return info{
		established:  t.State == unix.BPF_TCP_ESTABLISHED,
		segments:     t.Segs_in,
		dataSegments: t.Data_segs_in,
		silence:      time.Duration(min(t.Last_data_recv, t.Last_ack_recv)) * time.Millisecond,
		dataSilence:  time.Duration(t.Last_data_recv) * time.Millisecond,
		rtt:          time.Duration(t.Rtt) * time.Microsecond,
	}, nil
}

// checkKernel returns an error if the kernel does not count the segments of conn.
func checkKernel(conn *net.TCPConn) error {
	i, err := (&socket{tcp: conn}).info()
	if err == nil && i.segments == 0 {
		err = errors.New("the kernel does not count the segments that arrive (needs Linux 4.6 or later, and not gVisor)")
	}
	return err
}

// read reads until the connection has ended.
func (s *socket) read(m *measurement, c *conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := s.stream.Read(buffer)
		at := m.now()
		// On a busy machine, Read returns some time after the segment has arrived.
		if i, infoErr := s.info(); infoErr == nil {
			switch {
			case n > 0:
				at -= i.dataSilence
			case err == io.EOF:
				at -= i.silence
			}
		}
		if n > 0 {
			text := firstLine(buffer[:n])
			m.post(func() { m.arrived(c, at, text) })
		}
		if m.received.Add(int64(n)) > maxReceived {
			m.post(func() {
				m.failed = fmt.Errorf("the server has sent more than %d MB: no connection can be idle", maxReceived>>20)
			})
			return
		}
		if err != nil {
			m.post(func() { m.ended(c, at, err) })
			return
		}
	}
}

// firstLine returns the beginning of data, if it is printable.
func firstLine(data []byte) string {
	const longest = 60
	line, _, _ := strings.Cut(string(data[:min(len(data), longest)]), "\n")
	line = strings.TrimRight(line, "\r")
	for _, r := range line {
		if r < ' ' || r > '~' {
			return ""
		}
	}
	return line
}
