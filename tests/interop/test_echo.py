"""Tutorial 1: a WebSocket that answers what it is told."""

import pytest

from hub import eventually

TUTORIAL = "echo"


@pytest.mark.parametrize("message", ["hello", "你好，世界", "🎺" * 50, "", "x" * 60_000], ids=lambda text: text[:5])
def test_a_message_is_answered_with_itself_behind_the_prefix(tutorial, connect, message):
    client = connect(tutorial.ws("/websocket"))
    client.send(message)
    assert client.receive() == "你发送的消息是：" + message


def test_many_messages_are_answered_in_order(tutorial, connect):
    client = connect(tutorial.ws("/websocket"))
    for number in range(200):
        client.send(f"message {number}")
    answers = [client.receive() for _ in range(200)]
    assert answers == [f"你发送的消息是：message {number}" for number in range(200)]


def test_the_page_is_plain_text(tutorial):
    answer = tutorial.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text().strip()


def test_the_log_tells_of_opening_message_and_closing(tutorial, connect):
    client = connect(tutorial.ws("/websocket"))
    client.send("hello")
    client.receive()
    client.close()
    for event in ["opened", "message", "closed"]:
        eventually(lambda: event in tutorial.log(), f"{event} in the log:\n{tutorial.log()}")
