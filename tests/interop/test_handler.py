"""Tutorial 2: a handler with pings and origin rules, and a page to try it from."""

import time

import pytest
import websocket

from clients import Refused
from hub import SOON, eventually

TUTORIAL = "handler"


def test_text_is_answered_as_text(tutorial, connect):
    client = connect(tutorial.ws("/socket/"))
    client.send("héllo")
    assert client.receive() == "You said: héllo"


def test_binary_is_answered_as_binary(tutorial, connect):
    client = connect(tutorial.ws("/socket/"))
    client.send(b"\x00\xff\xfe")
    assert client.receive() == b"You said: \x00\xff\xfe"


def test_a_client_is_pinged_every_second_and_its_pongs_are_seen(tutorial):
    client = websocket.create_connection(tutorial.ws("/socket/"), timeout=SOON)
    before = tutorial.metric("fanfare_pongs_received_total")
    pings = []
    # The library answers each ping by itself, and shows it.
    while len(pings) < 3:
        opcode, _ = client.recv_data(control_frame=True)
        assert opcode == websocket.ABNF.OPCODE_PING
        pings.append(time.monotonic())
    # Two intervals of a second; nothing between 0.8 s and a busy machine's delay can pass for another interval.
    assert 1.6 < pings[2] - pings[0] < 6, pings
    eventually(lambda: tutorial.metric("fanfare_pongs_received_total") >= before + 3, "three pongs in the metrics")
    eventually(lambda: "pong" in tutorial.log(), f"a pong in the log:\n{tutorial.log()}")
    client.send("still there")
    while True:
        opcode, payload = client.recv_data(control_frame=True)
        if opcode != websocket.ABNF.OPCODE_PING:
            break
    assert payload == b"You said: still there"
    client.close()


@pytest.mark.parametrize("origin", ["http://evil.example", "https://localhost:8000", "http://localhost:8001", "null"])
def test_a_page_from_elsewhere_is_refused_with_403(tutorial, connect, origin):
    with pytest.raises(Refused) as refused:
        connect(tutorial.ws("/socket/"), origin=origin)
    assert refused.value.status == 403


def test_the_refusal_of_an_origin_has_a_code_and_does_not_tell_the_rules(tutorial):
    answer = tutorial.get("/socket/", headers={
        "Origin": "http://evil.example", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    })
    assert answer.status == 403
    assert answer.json()["code"] == "origin-refused"
    assert "localhost:8000" not in answer.text()


def test_pages_of_this_host_and_of_the_listed_origin_and_programs_may_connect(tutorial, connect):
    for origin in [tutorial.origin, "http://localhost:8000", None]:
        client = connect(tutorial.ws("/socket/"), origin=origin)
        client.send("hi")
        assert client.receive() == "You said: hi"


def test_the_page_has_buttons_to_connect_send_and_close(tutorial):
    answer = tutorial.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    for action in ["connect", "send", "close"]:
        assert f'data-action="{action}"' in answer.text()
