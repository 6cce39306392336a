"""conn.py ADDRESS PORT: dials and accepts a connection, chooses other settings for both, and waits for the end of stdin."""
import socket, sys

address, port = sys.argv[1:]
dialed = socket.socket()
dialed.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 99)
dialed.connect((address, int(port)))
listener = socket.create_server((address, 0))
print(listener.getsockname()[1], flush=True)
accepted, _ = listener.accept()
for s in dialed, accepted:
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 7)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
print("ready", flush=True)
sys.stdin.read()
