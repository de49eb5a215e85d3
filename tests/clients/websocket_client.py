"""A real WebSocket library on both sides of Tollgate.

    websocket_client.py serve        echoes; prints its port
    websocket_client.py talk URL     a user; ends with status 0 if every promise held
"""

import os
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

closes = []
closed = threading.Condition()


def echo(connection):
    try:
        for message in connection:
            if message == "please close":
                connection.close(4002, "as asked")
            elif message == "how did the last one end":
                with closed:
                    closed.wait_for(lambda: closes, timeout=20)
                    code, reason = closes.pop()
                connection.send(f"{code} {reason}")
            elif message == "ping me":
                connection.send("answered" if connection.ping(b"from the peer").wait(20) else "not answered")
            else:
                connection.send(message)
    except ConnectionClosed:
        pass
    if connection.close_code != 4002:
        with closed:
            closes.append((connection.close_code, connection.close_reason))
            closed.notify_all()


def talk(url):
    with connect(url, max_size=None, open_timeout=20) as one:
        for text in ("", "hello", "grüße \N{PARTY POPPER}" * 100):
            one.send(text)
            assert one.recv(timeout=20) == text
        for size in (0, 1, 125, 126, 65_535, 65_536, 20 << 20):
            data = os.urandom(size)
            one.send(data)
            assert one.recv(timeout=60) == data, size
        one.send(["in ", "several ", "fragments"])
        assert one.recv(timeout=20) == "in several fragments"
        assert one.ping(b"from the client").wait(20), "no pong"
        one.send("ping me")
        assert one.recv(timeout=20) == "answered"
        for number in range(500):
            one.send(str(number))
        assert [one.recv(timeout=20) for _ in range(500)] == [str(n) for n in range(500)]
        one.close(4001, "enough")
        assert one.close_code == 4001, one.close_code
    with connect(url, open_timeout=20) as two:
        two.send("how did the last one end")
        assert two.recv(timeout=30) == "4001 enough"
        two.send("please close")
        try:
            two.recv(timeout=20)
            raise AssertionError("not closed")
        except ConnectionClosed as end:
            assert (end.rcvd.code, end.rcvd.reason) == (4002, "as asked"), end
    print("the WebSocket client is content")


if sys.argv[1] == "serve":
    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()
else:
    talk(sys.argv[2])
