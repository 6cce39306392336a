package capture

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(t, err)
	return b
}

const (
	ethernet4 = "02000000000b 02000000000a 0800"
	ethernet6 = "02000000000b 02000000000a 86dd"
	ip4       = "4500 0034 0001 4000 4006 24c2 0a000102 0a000202" // 52 bytes, TTL 64, TCP
	tcp       = "9c40 1b58 00000063 000000c8 8010 01f6 0000 0000" // 40000 to 7000, ACK, 32 bytes
	options   = "0101 080a 00000007 00000009"
)

// TestDecodeProbe: a keepalive probe of Linux.
func TestDecodeProbe(t *testing.T) {
	t.Parallel()
	p, err := Decode(bytesOf(t, ethernet4+ip4+tcp+options))
	require.NoError(t, err)
	assert.Equal(t, Packet{
		Frame: 66, IP: 52, TTL: 64,
		Src: netip.MustParseAddrPort("10.0.1.2:40000"), Dst: netip.MustParseAddrPort("10.0.2.2:7000"),
		Flags: ACK, Seq: 99, Ack: 200, Window: 502, Timestamps: true, TSval: 7, TSecr: 9,
	}, p)
	assert.Equal(t, "10.0.1.2:40000 > 10.0.2.2:7000  ACK seq 99 ack 200 len 0", p.String())
	assert.True(t, p.IsProbe(100))
	assert.False(t, p.IsProbe(99))
	p.Flags |= RST
	assert.False(t, p.IsProbe(100))
}

// TestDecodePadding: Ethernet pads a short packet to 60 bytes, which are no data.
func TestDecodePadding(t *testing.T) {
	t.Parallel()
	p, err := Decode(bytesOf(t, ethernet4+"4500 0028 0001 4000 3f06 0000 0a000202 0a000102"+
		"1b58 9c40 000000c8 00000000 5004 0000 0000 0000"+"000000000000"))
	require.NoError(t, err)
	assert.Equal(t, 60, p.Frame)
	assert.Equal(t, 40, p.IP)
	assert.Zero(t, p.Payload)
	assert.False(t, p.Timestamps)
	assert.Equal(t, "10.0.2.2:7000 > 10.0.1.2:40000  RST seq 200 len 0", p.String())
}

func TestDecodeIPv6(t *testing.T) {
	t.Parallel()
	p, err := Decode(bytesOf(t, ethernet6+"60000000 0022 06 40"+
		"20010db8000000000000000000000001 20010db8000000000000000000000002"+
		"9c40 1b58 00000063 000000c8 8018 01f6 0000 0000"+options+"6869"))
	require.NoError(t, err)
	assert.Equal(t, 74, p.IP)
	assert.Equal(t, 2, p.Payload)
	assert.Equal(t, "[2001:db8::1]:40000 > [2001:db8::2]:7000  PSH+ACK seq 99 ack 200 len 2", p.String())
}

func TestDecodeICMP(t *testing.T) {
	t.Parallel()
	p, err := Decode(bytesOf(t, ethernet4+"4500 0050 0001 4000 3f01 0000 0a000101 0a000102"+"0301 0000 00000000"+ip4+tcp+options))
	require.NoError(t, err)
	assert.Equal(t, ICMP{Version: 4, Type: 3, Code: 1, Seq: 99}, p.ICMP)
	assert.Equal(t, "10.0.1.1 > 10.0.1.2  ICMP host unreachable", p.String())

	p, err = Decode(bytesOf(t, ethernet6+"60000000 0008 3a ff"+
		"20010db8000000000000000000000001 20010db8000000000000000000000002"+"8700 0000 00000000"))
	require.NoError(t, err)
	assert.Equal(t, "2001:db8::1 > 2001:db8::2  ICMP type 135 code 0", p.String())
}

// TestDecodeCutOff: no prefix of a frame, and no wrong length in it, makes Decode panic.
func TestDecodeCutOff(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		ethernet4 + ip4 + tcp + options,
		ethernet6 + "60000000 0020 06 40" + strings.Repeat("20010db8", 8) + tcp + options,
	} {
		frame := bytesOf(t, text)
		for n := range frame {
			_, err := Decode(frame[:n])
			assert.Error(t, err, n)
		}
		for i := range frame {
			for value := range 256 {
				bad := append([]byte(nil), frame...)
				bad[i] = byte(value)
				Decode(bad)
			}
		}
	}
	_, err := Decode(bytesOf(t, "ffffffffffff 02000000000a 0806"+strings.Repeat("00", 28)))
	assert.ErrorIs(t, err, errOther, "ARP")
	_, err = Decode(bytesOf(t, ethernet4+"4500 0034 0001 4001 4006 24c2 0a000102 0a000202"+tcp+options))
	assert.ErrorIs(t, err, errOther, "a later fragment")
	_, err = Decode(bytesOf(t, ethernet4+"4500 0034 0001 4000 4011 24c2 0a000102 0a000202"+tcp+options))
	assert.ErrorIs(t, err, errOther, "UDP")
}

func TestRelative(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddrPort("10.0.1.2:40000"), netip.MustParseAddrPort("10.0.2.2:7000")
	const x, y = 1<<32 - 2, 5000 // x wraps around
	packets := []Packet{
		{Src: a, Dst: b, Flags: SYN, Seq: x},
		{Src: b, Dst: a, Flags: SYN | ACK, Seq: y, Ack: x + 1},
		{Src: a, Dst: b, Flags: ACK | PSH, Seq: x + 1, Ack: y + 1, Payload: 5},
		{Src: b, Dst: a, Flags: ACK, Seq: y + 1, Ack: 4},
		{Src: a, Dst: b, Flags: ACK, Seq: 3, Ack: y + 1},
		{Src: b, Dst: a, Flags: RST, Seq: y + 1},
		{ICMP: ICMP{Version: 4, Seq: 3}},
	}
	var got []string
	for _, p := range Relative(packets) {
		_, text, _ := strings.Cut(p.String(), "  ")
		got = append(got, text)
	}
	assert.Equal(t, []string{
		"SYN seq 0 len 0", "SYN+ACK seq 0 ack 1 len 0", "PSH+ACK seq 1 ack 1 len 5", "ACK seq 1 ack 6 len 0", "ACK seq 5 ack 1 len 0",
		"RST seq 1 len 0", "ICMP type 0 code 0",
	}, got)
	assert.Equal(t, uint32(x), packets[0].Seq, "packets is unchanged")
}
