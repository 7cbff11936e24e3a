"""Tutorial 5: a welcome, and answers."""

import pytest

from clients import Refused

TUTORIAL = "welcome"


def test_the_welcome_comes_first_and_then_the_answers(tutorial, connect):
    client = connect(tutorial.ws("/ws"))
    client.send("hello")
    assert client.receive() == "Welcome to the WebSocket server!"
    assert client.receive() == "You said: hello"


@pytest.mark.parametrize("origin", ["http://localhost", "HTTP://LOCALHOST", "http://localhost:80"])
def test_a_page_from_localhost_is_accepted(tutorial, connect, origin):
    client = connect(tutorial.ws("/ws"), origin=origin)
    assert client.receive() == "Welcome to the WebSocket server!"


@pytest.mark.parametrize("origin", [
    "http://evil.example", "https://localhost", "http://localhost:8080", "http://localhost.evil.example", "null",
])
def test_a_page_from_elsewhere_is_refused(tutorial, connect, origin):
    with pytest.raises(Refused) as refused:
        connect(tutorial.ws("/ws"), origin=origin)
    assert refused.value.status == 403
