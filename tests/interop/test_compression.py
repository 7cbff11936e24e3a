"""permessage-deflate with two libraries that have it: Tornado's client, and `websockets`, which can ask for windows."""

import json
from contextlib import closing, contextmanager

import pytest
import tornado.httpclient
import tornado.ioloop
import tornado.websocket
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect as websockets_connect

from hub import SOON, eventually, running

CONFIG = """
[server]
workers = 2

[compression]
enabled = true
threshold = "100B"

[[topics]]
pattern = "kept*"
publish = "anyone"
history = { size = 10 }

[[topics]]
pattern = "raw*"
publish = "anyone"
compress = false

[[topics]]
pattern = "*"
publish = "anyone"

[[endpoints]]
path = "/echo"
reply = "{message}"
"""

# Longer than a window of 12 bits, with repetitions near and far.
LONG = json.dumps([{"id": number, "name": f"sensor {number % 7}", "value": number * 7919 % 9973} for number in range(400)])


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    config = folder / "compression.toml"
    config.write_text(CONFIG)
    with running(config, folder / "hub.log") as hub:
        yield hub


class Tornado:
    """Tornado's client with compression on, on a loop of its own.

    It only listens here: Tornado 6.6 does not see parameters without a value in the answer, `client_no_context_takeover`
    among them, and keeps its window from message to message although it must not.
    """

    def __init__(self, url):
        self._loop = tornado.ioloop.IOLoop(make_current=False)
        request = tornado.httpclient.HTTPRequest(url, connect_timeout=SOON, request_timeout=SOON)
        self._socket = self._run(lambda: tornado.websocket.websocket_connect(request, compression_options={}))
        self.agreed = self._socket.headers.get("Sec-WebSocket-Extensions")

    def receive(self):
        return self._run(self._socket.read_message)

    def close(self):
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


class Websockets:
    """`websockets`, with `window` bits of either side's window."""

    def __init__(self, url, window=None):
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=window, client_max_window_bits=window or True)
        self._socket = websockets_connect(url, open_timeout=SOON, compression=None, extensions=[offer])
        self.agreed = self._socket.response.headers.get("Sec-WebSocket-Extensions")

    def send(self, message):
        self._socket.send(message)

    def receive(self):
        return self._socket.recv(timeout=SOON)

    def close(self):
        self._socket.close()


LIBRARIES = {
    "tornado": Tornado,
    "websockets": Websockets,
    "websockets-9": lambda url: Websockets(url, 9),
    "websockets-12": lambda url: Websockets(url, 12),
    "websockets-15": lambda url: Websockets(url, 15),
}


def connecting(library):
    @contextmanager
    def connect(url):
        with closing(LIBRARIES[library](url)) as client:
            yield client
    return connect


@pytest.fixture(params=LIBRARIES)
def connect(request):
    return connecting(request.param)


@pytest.fixture(params=[library for library in LIBRARIES if library != "tornado"])
def connect_to_send(request):
    return connecting(request.param)


def test_both_sides_agree(hub, connect):
    with connect(hub.ws("/topics/agree")) as client:
        assert client.agreed.startswith("permessage-deflate; server_no_context_takeover; client_no_context_takeover")


@pytest.mark.parametrize(("asked", "given"), [(9, 9), (10, 9), (12, 12), (14, 12), (15, 15)])
def test_a_window_that_is_asked_for_is_answered_with_one_that_fits(hub, asked, given):
    with closing(Websockets(hub.ws("/topics/agree"), asked)) as client:
        assert client.agreed.endswith(f"; server_max_window_bits={given}")


def test_publications_come_inflated_one_after_another(hub, connect):
    with connect(hub.ws("/topics/news")) as client:
        for message in ["short", LONG, LONG, LONG[::-1], "é" * 500, LONG]:
            hub.publish("news", message)
            assert client.receive() == message
        hub.publish("news", b"\x00\xff" * 1000, {"Content-Type": "application/octet-stream"})
        assert client.receive() == b"\x00\xff" * 1000


def test_what_a_client_sends_compressed_is_understood(hub, connect_to_send):
    with connect_to_send(hub.ws("/topics/room")) as client, connect_to_send(hub.ws("/echo")) as echo:
        for message in ["", "short", LONG, "🎺" * 2000, b"\x00" * 5000, LONG]:
            client.send(message)
            assert client.receive() == message
            echo.send(message)
            assert echo.receive() == message


def test_history_and_the_json_format_come_compressed_too(hub, connect):
    hub.publish("kept", LONG)
    with connect(hub.ws("/topics/kept?history=1&format=json")) as client:
        line = json.loads(client.receive())
        assert (line["topic"], line["data"]) == ("kept", LONG)


def test_a_topic_may_be_left_uncompressed(hub, connect):
    with connect(hub.ws("/topics/raw")) as client:
        for _ in range(3):
            hub.publish("raw", LONG)
            assert client.receive() == LONG


def test_the_metric_tells_what_was_saved(hub, connect):
    with connect(hub.ws("/topics/counted")) as client:
        before = hub.metric("fanfare_compression_bytes_total")
        hub.publish("counted", LONG)
        assert client.receive() == LONG
        eventually(
            lambda: hub.metric("fanfare_compression_bytes_total") > before + len(LONG),
            "the bytes before and after are counted",
        )
