"""The protocol by hand, for what no SDK sends: a WebSocket, and streams of HTTP answers."""

import http.client
import json

import websocket

from target import SOON


class Closed(Exception):
    """The hub ended the connection. `code` is None if the socket just ended."""

    def __init__(self, code, reason):
        super().__init__(f"closed with {code} {reason}")
        self.code, self.reason = code, reason


class Raw:
    """A WebSocket that sends exactly what it is told."""

    def __init__(self, hub, path="/connection/websocket", **options):
        self._socket = websocket.create_connection(
            hub.ws(path), timeout=SOON, suppress_origin=True, **options)
        self._lines = []

    def send(self, text):
        """A text frame; a binary one for bytes; a line of JSON for everything else."""
        if isinstance(text, bytes):
            self._socket.send_binary(text)
        else:
            self._socket.send(text if isinstance(text, str) else json.dumps(text))

    def announce(self, length):
        """Sends the head of a text frame of so many bytes, and none of them: what is unread at the hub when it closes would
        make the kernel reset the connection, and the close code would be lost."""
        self._socket.sock.sendall(b"\x81\xff" + length.to_bytes(8, "big") + b"mask")

    def frame(self):
        """The next message as it is. Raises `Closed`."""
        try:
            opcode, payload = self._socket.recv_data()
        except (websocket.WebSocketConnectionClosedException, ConnectionError) as end:
            raise Closed(None, str(end)) from end
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else None
            raise Closed(code, payload[2:].decode())
        return payload.decode() if opcode == websocket.ABNF.OPCODE_TEXT else payload

    def text(self):
        """The next line of JSON as it is, pings included."""
        while not self._lines:
            self._lines = self.frame().strip().split("\n")
        return self._lines.pop(0)

    def line(self):
        """The next JSON value, pings included."""
        return json.loads(self.text())

    def next(self):
        """The next JSON value; pings are answered and passed over."""
        while (line := self.line()) == {}:
            self.send({})
        return line

    def ask(self, number, **command):
        """Sends a command and gives the reply's part, or the error. Pushes before it are kept for later."""
        self.send({"id": number, **command})
        passed = []
        while (line := self.next()).get("id") != number:
            passed.append(json.dumps(line))
        self._lines = passed + self._lines
        if "error" in line:
            return {"error": line["error"]}
        (method,) = command
        return line[method]

    def connect(self, **request):
        return self.ask(1, connect=request)

    def closed(self):
        """How the hub ends the connection; whatever comes before is read and dropped."""
        try:
            while True:
                self.frame()
        except Closed as end:
            return end

    def close(self):
        self._socket.close(timeout=2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown()


class Stream:
    """An HTTP answer that goes on."""

    def __init__(self, hub, method, path, body=None, headers=None):
        self._connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=SOON)
        self._connection.request(method, path, body=body, headers=headers or {})
        self.response = self._connection.getresponse()

    def line(self):
        """The next line, or None at the end."""
        line = self.response.readline()
        return line.decode() if line else None

    def value(self):
        """The next JSON value of lines of JSON or of events; None at the end."""
        while (line := self.line()) is not None:
            line = line.strip().removeprefix("data:").strip()
            if line:
                return json.loads(line)
        return None

    def close(self):
        # Closing the connection alone would leave the response holding the socket.
        self.response.close()
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
