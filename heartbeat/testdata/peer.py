"""A peer for heartbeat.Conn, written from FORMAT.md. It sends back the data that it
receives, answers pings, and sends pings after silence.

    peer.py PORT INTERVAL TIMEOUT    (seconds)

At the end of the data, or when the other peer is dead, it prints what it has seen,
and closes. The data "hang" makes it stop without closing.
"""

import select
import socket
import struct
import sys
import time

DATA, PING, PONG, END = 1, 2, 3, 4


def main():
    port, interval, timeout = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    conn = socket.create_connection(("127.0.0.1", port))
    conn.sendall(b"\xb7hb\x01" + struct.pack(">I", int(interval * 1000)))
    sent = time.monotonic()

    def send(kind, payload=b""):
        nonlocal sent
        conn.sendall(struct.pack(">I", kind << 24 | len(payload)) + payload)
        sent = time.monotonic()

    buffer, peer_interval = b"", None
    heard = pinged = time.monotonic()
    heard_data = 0  # when data last arrived
    number = pings = pongs = carried = 0
    ended, last = False, None  # last is the number of the ping after the end
    how = "end"
    while True:
        now = time.monotonic()
        if now - heard >= timeout:
            how = "dead"
            break
        due = max(heard, pinged) + interval
        if now >= due:
            number, pinged = number + 1, now
            send(PING, struct.pack(">I", number) + b"from Python")
            continue
        until = min(due, heard + timeout)
        if heard_data > sent:
            if now >= sent + peer_interval:
                send(PONG, bytes(4))
                continue
            until = min(until, sent + peer_interval)
        readable, _, _ = select.select([conn], [], [], until - now)
        if not readable:
            continue
        received = conn.recv(65536)
        if not received:
            how = "end" if ended else "closed"
            break
        heard = time.monotonic()
        buffer += received
        if peer_interval is None:
            if len(buffer) < 8:
                continue
            assert buffer[:4] == b"\xb7hb\x01", buffer[:4]
            peer_interval = struct.unpack(">I", buffer[4:8])[0] / 1000
            assert peer_interval > 0
            buffer = buffer[8:]
        while len(buffer) >= 4:
            (header,) = struct.unpack(">I", buffer[:4])
            kind, length = header >> 24, header & 0xFFFFFF
            if len(buffer) < 4 + length:
                break
            payload, buffer = buffer[4 : 4 + length], buffer[4 + length :]
            if kind == DATA:
                assert 1 <= length <= 65536 and not ended, length
                heard_data = heard
                if payload == b"hang":
                    time.sleep(3600)
                send(DATA, payload)
            elif kind == PING:
                assert 4 <= length <= 128, length
                assert payload[:4] != bytes(4)
                if length > 4:
                    pings += 1
                carried += length - 4
                send(PONG, payload[:4])
            elif kind == PONG:
                assert length == 4, length
                (answered,) = struct.unpack(">I", payload)
                pongs += answered != 0 and answered == number and last is None
                if last is not None and answered >= last:
                    print(how, "pings", pings, "carried", carried, "pongs", pongs, flush=True)
                    return  # the other peer has everything
            elif kind == END:
                assert length == 0 and not ended, length
                ended = True
                number, pinged = number + 1, time.monotonic()
                last = number
                send(END)
                send(PING, struct.pack(">I", number) + b"from Python")
            else:
                raise AssertionError("type %d" % kind)
        if buffer[:1] == bytes([DATA]):
            heard_data = heard
    print(how, "pings", pings, "carried", carried, "pongs", pongs, flush=True)


main()
