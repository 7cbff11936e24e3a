"""What the tests share: hubs, and clients that are closed when the test is done."""

import pytest

import clients
from hub import TUTORIALS, running

HUB_FOR_TOPICS = """
[server]
workers = 2

[api]
keys = ["letmein"]

[[topics]]
pattern = "closed*"
publish = "api"

[[topics]]
pattern = "kept*"
publish = "anyone"
history = { size = 50, ttl = "10m" }

[[topics]]
pattern = "short*"
publish = "anyone"
history = { size = 3, ttl = "10m" }

[[topics]]
pattern = "*"
publish = "anyone"
"""


@pytest.fixture
def tutorial(request, tmp_path):
    """A fresh hub on the tutorial that the test file names in TUTORIAL."""
    with running(TUTORIALS / f"{request.module.TUTORIAL}.toml", tmp_path / "hub.log") as hub:
        yield hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """One hub for the whole file; tests use topics of their own."""
    folder = tmp_path_factory.mktemp("hub")
    config = folder / "topics.toml"
    config.write_text(HUB_FOR_TOPICS)
    with running(config, folder / "hub.log") as hub:
        yield hub


@pytest.fixture(params=["websocket-client", "tornado"])
def connect(request):
    """Connects a client: `connect(url, origin=None)`. Each test runs with either library."""
    library = {"websocket-client": clients.WebSocketClient, "tornado": clients.TornadoClient}[request.param]
    with clients.Opened(library) as opened:
        yield opened.connect
