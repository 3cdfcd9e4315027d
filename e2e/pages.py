"""Servers that browsers talk to: plain pages of another origin, and a gateway that says what a test wants."""

import http.server
import json
import queue
import threading

from websockets.sync.server import serve

PATIENCE_S = 30


class Site:
    """Serves one page, at an origin of its own."""

    def __init__(self, text):
        body = text.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = self.path == "/"
                self.send_response(200 if found else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body) if found else 0))
                self.end_headers()
                if found:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Visit:
    """One connection to the scripted gateway."""

    def __init__(self, socket):
        self._socket = socket
        self.path = socket.request.path
        self.offered = socket.request.headers.get("sec-websocket-protocol", "")

    def send(self, **message):
        self._socket.send(json.dumps(message))

    def snapshot(self, cursor):
        totals = {"reactions": 0, "late": 0, "duplicates": 0, "rejected": 0}
        self.send(type="snapshot", cursor=cursor, room="lobby", room_totals=totals, watching=1, windows=[])

    def receive(self, seconds=PATIENCE_S):
        return json.loads(self._socket.recv(timeout=seconds))

    def close(self, code, reason=""):
        self._socket.close(code, reason)


class Gateway:
    """Takes WebSockets and gives each to the test, which plays the gateway."""

    def __init__(self):
        self._visits = queue.Queue()
        self._over = threading.Event()
        self._server = serve(self._take, "127.0.0.1", 0, subprotocols=["ovation.v1"], select_subprotocol=self._select)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _select(_, offered):
        return "ovation.v1" if "ovation.v1" in offered else None

    def _take(self, socket):
        self._visits.put(Visit(socket))
        # The connection is open as long as this runs, unless the test closes it.
        self._over.wait()

    def visit(self, seconds=PATIENCE_S):
        """The next connection."""
        return self._visits.get(timeout=seconds)

    def is_left_alone(self):
        """Whether nobody has connected since."""
        return self._visits.empty()

    def close(self):
        self._over.set()
        self._server.shutdown()
