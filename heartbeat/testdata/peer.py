"""A peer for heartbeat.Conn, written from FORMAT.md: it sends back the data it
gets, answers pings, and pings into silence.

    peer.py PORT INTERVAL TIMEOUT    (seconds)

At the end of the data, or when the other is dead, it prints what it has seen.
The data "hang" makes it fall silent, without closing.
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

    def send(kind, payload=b""):
        conn.sendall(struct.pack(">I", kind << 24 | len(payload)) + payload)

    buffer, greeted = b"", False
    heard = pinged = time.monotonic()
    number = pings = pongs = carried = 0
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
        readable, _, _ = select.select([conn], [], [], min(due, heard + timeout) - now)
        if not readable:
            continue
        got = conn.recv(65536)
        if not got:
            how = "closed"
            break
        heard = time.monotonic()
        buffer += got
        if not greeted:
            if len(buffer) < 8:
                continue
            assert buffer[:4] == b"\xb7hb\x01", buffer[:4]
            assert struct.unpack(">I", buffer[4:8])[0] >= 1
            buffer, greeted = buffer[8:], True
        ended = False
        while len(buffer) >= 4:
            (head,) = struct.unpack(">I", buffer[:4])
            kind, length = head >> 24, head & 0xFFFFFF
            if len(buffer) < 4 + length:
                break
            payload, buffer = buffer[4 : 4 + length], buffer[4 + length :]
            if kind == DATA:
                assert 1 <= length <= 65536, length
                if payload == b"hang":
                    time.sleep(3600)
                send(DATA, payload)
            elif kind == PING:
                assert 4 <= length <= 128, length
                pings += 1
                carried += length - 4
                send(PONG, payload[:4])
            elif kind == PONG:
                assert length == 4, length
                answered = struct.unpack(">I", payload)[0]
                pongs += answered != 0 and answered == number
            elif kind == END:
                assert length == 0, length
                ended = True
            else:
                raise AssertionError("type %d" % kind)
        if ended:
            send(END)
            break
    print(how, "pings", pings, "carried", carried, "pongs", pongs, flush=True)
    if how == "end":  # the last word is the other's
        while conn.recv(65536):
            pass


main()
