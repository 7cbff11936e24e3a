"""The same few verbs over two WebSocket libraries, so that a test is written once and holds for both."""

import tornado.httpclient
import tornado.ioloop
import tornado.websocket
import websocket

from hub import SOON


class Refused(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status):
        super().__init__(f"the handshake was answered with {status}")
        self.status = status


class Opened:
    """The clients of a test, closed at its end."""

    def __init__(self, library):
        self._library = library
        self._clients = []

    def connect(self, url, origin=None):
        client = self._library(url, origin)
        self._clients.append(client)
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self._clients:
            client.close()


class WebSocketClient:
    """websocket-client."""

    def __init__(self, url, origin):
        try:
            # Unless told otherwise, this library sends the server's own address as the origin.
            self._socket = websocket.create_connection(
                url, timeout=SOON, origin=origin, suppress_origin=origin is None)
        except websocket.WebSocketBadStatusException as refusal:
            raise Refused(refusal.status_code) from refusal

    def send(self, message):
        if isinstance(message, bytes):
            self._socket.send_binary(message)
        else:
            self._socket.send(message)

    def receive(self):
        """The next message: str for text, bytes for binary. None when the hub closes."""
        opcode, payload = self._socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return None
        return payload.decode() if opcode == websocket.ABNF.OPCODE_TEXT else payload

    def close(self):
        self._socket.close(timeout=SOON)


class TornadoClient:
    """Tornado's client, on a loop of its own that runs while something is waited for."""

    def __init__(self, url, origin):
        self._closed = False
        self._loop = tornado.ioloop.IOLoop(make_current=False)
        headers = {"Origin": origin} if origin else None
        request = tornado.httpclient.HTTPRequest(url, headers=headers, connect_timeout=SOON, request_timeout=SOON)
        try:
            self._socket = self._run(lambda: tornado.websocket.websocket_connect(request))
        except tornado.httpclient.HTTPClientError as refusal:
            self._loop.close()
            raise Refused(refusal.code) from refusal

    def send(self, message):
        async def send():
            await self._socket.write_message(message, binary=isinstance(message, bytes))
        self._run(send)

    def receive(self):
        """As `WebSocketClient.receive`."""
        return self._run(self._socket.read_message)

    def close(self):
        if self._closed:
            return
        self._closed = True

        async def close():
            self._socket.close(1000)
            while await self._socket.read_message() is not None:
                pass
        self._run(close)
        self._loop.close()

    def _run(self, start):
        async def started():
            return await start()
        return self._loop.run_sync(started, timeout=SOON)
