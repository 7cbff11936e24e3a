"""HTTP streams and events by hand: what SDKs emulate a socket with, and the unidirectional transports."""

import json
from urllib.parse import quote

import pytest

from raw import Closed, Raw, Stream
from target import eventually
from tokens import token

JSON = {"Content-Type": "application/json"}

emulation = pytest.mark.feature("emulation")
unidirectional = pytest.mark.feature("unidirectional")


def open_stream(hub, transport, commands):
    if transport == "sse":
        return Stream(hub, "GET", f"/connection/sse?cf_connect={quote(commands)}")
    return Stream(hub, "POST", "/connection/http_stream", commands, JSON)


def emulate(hub, result, *commands):
    data = "\n".join(json.dumps(command) for command in commands)
    body = json.dumps({"session": result["session"], "node": result["node"], "data": data})
    return hub.request("POST", "/emulation", body, JSON)


@emulation
@pytest.mark.parametrize("transport, kind", [("http_stream", "text/plain"), ("sse", "text/event-stream")])
def test_a_stream_answers_connect_with_a_session_and_takes_commands_beside_it(hub, fresh, transport, kind):
    channel = fresh("chat")
    with open_stream(hub, transport, '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}' % channel) as stream:
        assert stream.response.status == 200
        headers = stream.response.headers
        assert headers["Content-Type"].startswith(kind) and headers["X-Accel-Buffering"] == "no"
        assert "no-store" in headers["Cache-Control"]
        result = stream.value()["connect"]
        assert result["client"] and result["session"] and result["node"] and result["session"] != result["client"]
        assert stream.value() == {"id": 2, "subscribe": {}}
        answer = emulate(hub, result, {"id": 3, "publish": {"channel": channel, "data": 1}})
        assert (answer.status, answer.body) == (204, b"")
        both = [stream.value(), stream.value()]
        assert {"id": 3, "publish": {}} in both and any(one.get("push", {}).get("pub") for one in both)
        answer = emulate(hub, result, {"id": 4, "unsubscribe": {"channel": channel}}, {"id": 5, "unsubscribe": {"channel": channel}})
        assert (answer.status, answer.body) == (204, b"")
        assert [stream.value(), stream.value()] == [{"id": 4, "unsubscribe": {}}, {"id": 5, "unsubscribe": {}}]


@emulation
def test_events_may_be_posted_for_too(hub):
    with Stream(hub, "POST", "/connection/sse", '{"id":1,"connect":{}}', JSON) as stream:
        assert stream.value()["connect"]["session"]


@emulation
@pytest.mark.parametrize("transport", ["http_stream", "sse"])
@pytest.mark.parametrize("commands, code, reason", [
    ('{"id":1,"connect":{"token":"garbage"}}', 3500, "invalid token"), ("garbage", 3501, "bad request"),
])
def test_a_stream_ends_with_a_push_that_says_why(hub, transport, commands, code, reason):
    with open_stream(hub, transport, commands) as stream:
        assert stream.value() == {"push": {"disconnect": {"code": code, "reason": reason}}}
        assert stream.value() is None


@emulation
@pytest.mark.parametrize("transport", ["http_stream", "sse"])
def test_what_a_session_does_wrong_ends_its_stream(hub, transport):
    with open_stream(hub, transport, '{"id":1,"connect":{}}') as stream:
        result = stream.value()["connect"]
        emulate(hub, result, {"id": 2, "connect": {}})
        assert stream.value() == {"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}
        assert stream.value() is None


@emulation
@pytest.mark.parametrize("transport", ["http_stream", "sse"])
def test_who_goes_away_is_gone(hub, fresh, transport):
    channel = fresh("chat")
    with open_stream(hub, transport, '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"%s"}}' % channel) as stream:
        stream.value(), stream.value()
        assert hub.api("channels", pattern=channel)["channels"] == {channel: {"num_clients": 1}}
    eventually(lambda: not hub.api("channels", pattern=channel)["channels"], lambda: "nobody is there")


@emulation
@pytest.mark.parametrize("method, path, body, status", [
    ("POST", "/emulation", json.dumps({"session": "x", "node": "nosuch", "data": "{}"}), 404),
    ("POST", "/emulation", "garbage", 400),
    ("POST", "/emulation", json.dumps({"session": "x", "node": "y", "data": "x" * 70_000}), 413),
    ("GET", "/emulation", None, 405),
    ("OPTIONS", "/emulation", None, 204),
    ("GET", "/connection/http_stream", None, 405),
    ("OPTIONS", "/connection/http_stream", None, 204),
    ("GET", "/connection/sse", None, 400),
    ("POST", "/connection/http_stream", "x" * 70_000, 413),
])
def test_requests_are_answered_with_their_status(hub, method, path, body, status):
    assert hub.request(method, path, body, JSON).status == status


@emulation
def test_a_session_that_is_gone_is_no_error(hub):
    with open_stream(hub, "sse", '{"id":1,"connect":{}}') as stream:
        result = stream.value()["connect"]
        assert emulate(hub, {**result, "session": "nosuch"}, {"id": 2, "unsubscribe": {"channel": "x"}}).status == 204
        assert emulate(hub, result, {"id": 3, "unsubscribe": {"channel": "x"}}).status == 204
        assert stream.value()["id"] == 3


UNIDIRECTIONAL = {
    "uni_sse": lambda hub, request: Stream(hub, "GET", f"/connection/uni_sse?cf_connect={quote(request)}"),
    "uni_sse, posted": lambda hub, request: Stream(hub, "POST", "/connection/uni_sse", request, JSON),
    "uni_http_stream": lambda hub, request: Stream(hub, "POST", "/connection/uni_http_stream", request, JSON),
}


@unidirectional
@pytest.mark.parametrize("transport", UNIDIRECTIONAL)
def test_pushes_come_bare_and_the_first_tells_of_the_connection(hub, fresh, transport):
    user, plain = fresh("uni"), fresh("news")
    own = f"user:#{user}"
    with UNIDIRECTIONAL[transport](hub, json.dumps({"token": token(user, channels=[plain])})) as stream:
        connect = stream.value()["connect"]
        assert connect["client"] and connect["session"] and connect["ping"] == 25 and "pong" not in connect
        epoch = connect["subs"][own]["epoch"]
        assert connect["subs"] == {own: {"recoverable": True, "epoch": epoch, "positioned": True}, plain: {}}
        hub.publish(own, {"x": 1})
        publication = stream.value()
        publication["pub"].pop("epoch", None)
        assert publication == {"channel": own, "pub": {"data": {"x": 1}, "offset": 1}}
        hub.publish(plain, 2)
        assert stream.value() == {"channel": plain, "pub": {"data": 2}}
        hub.api("unsubscribe", user=user, channel=plain)
        assert stream.value() == {"channel": plain, "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}
        hub.api("subscribe", user=user, channel=plain)
        assert stream.value() == {"channel": plain, "subscribe": {}}
        hub.api("disconnect", user=user)
        assert stream.value() == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
        assert stream.value() is None


@unidirectional
@pytest.mark.parametrize("transport", UNIDIRECTIONAL)
def test_positions_in_the_request_are_recovered_from(hub, fresh, transport):
    user = fresh("uni")
    own = f"user:#{user}"
    for number in [1, 2, 3]:
        epoch = hub.publish(own, number)["epoch"]
    request = {"token": token(user), "subs": {own: {"recover": True, "offset": 1, "epoch": epoch}}}
    with UNIDIRECTIONAL[transport](hub, json.dumps(request)) as stream:
        sub = stream.value()["connect"]["subs"][own]
        assert sub["recovered"] and [one["data"] for one in sub["publications"]] == [2, 3]
        hub.publish(own, 4)
        assert stream.value()["pub"]["offset"] == 4


@unidirectional
@pytest.mark.parametrize("transport", UNIDIRECTIONAL)
def test_a_bad_token_is_a_disconnect_in_the_stream(hub, transport):
    with UNIDIRECTIONAL[transport](hub, '{"token":"garbage"}') as stream:
        assert stream.response.status == 200
        assert stream.value() == {"disconnect": {"code": 3500, "reason": "invalid token"}}
        assert stream.value() is None


@unidirectional
@pytest.mark.parametrize("transport", UNIDIRECTIONAL)
def test_what_is_no_request_is_400(hub, transport):
    with UNIDIRECTIONAL[transport](hub, "garbage") as stream:
        assert stream.response.status == 400


@unidirectional
def test_without_a_request_the_client_is_anonymous(hub):
    with Stream(hub, "GET", "/connection/uni_sse") as stream:
        assert stream.value()["connect"]["client"]


@unidirectional
def test_pings_come_and_want_no_answer(strict, fresh):
    request = json.dumps({"token": token(fresh("uni"))})
    for transport in ["uni_sse", "uni_http_stream"]:
        with UNIDIRECTIONAL[transport](strict, request) as stream:
            assert stream.value()["connect"]["ping"] == 1
            assert [stream.value(), stream.value()] == [{}, {}]


@unidirectional
@pytest.mark.parametrize("how", ["frame", "query"])
def test_a_socket_gets_the_same(hub, fresh, how):
    user = fresh("uni")
    request = json.dumps({"token": token(user)})
    path = "/connection/uni_websocket" + (f"?cf_connect={quote(request)}" if how == "query" else "")
    with Raw(hub, path) as raw:
        if how == "frame":
            raw.send(request)
        assert f"user:#{user}" in raw.line()["connect"]["subs"]
        # What is sent after that is passed over.
        raw.send('{"hello":1}')
        hub.publish(f"user:#{user}", "x" * 100)
        assert raw.line()["pub"]["data"] == "x" * 100
        hub.api("disconnect", user=user)
        assert raw.line() == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
        with pytest.raises(Closed) as closed:
            raw.line()
        assert closed.value.code == 3503


@unidirectional
def test_a_socket_with_a_bad_token_is_told_so_twice(hub):
    with Raw(hub, "/connection/uni_websocket") as raw:
        raw.send('{"token":"garbage"}')
        assert raw.line() == {"disconnect": {"code": 3500, "reason": "invalid token"}}
        assert raw.closed().code == 3500
    with Raw(hub, "/connection/uni_websocket") as raw:
        raw.send("garbage")
        assert raw.closed().code == 3501


PROTOBUF = "/connection/websocket?cf_protocol=protobuf"
CONNECT = b"\x04\x08\x01\x22\x00"
SUBSCRIBE = b"\x09\x08\x02\x2a\x05\x0a\x03abc"


@pytest.mark.feature("protobuf")
@pytest.mark.parametrize("how", [{"path": PROTOBUF}, {"path": "/connection/websocket?format=protobuf"},
                                 {"subprotocols": ["centrifuge-protobuf"]}], ids=lambda how: str(*how.values()))
def test_protobuf_is_asked_for_in_three_ways(hub, how):
    with Raw(hub, **how) as raw:
        raw.send(CONNECT + SUBSCRIBE)
        answer = b""
        while not answer.endswith(b"\x04\x08\x02\x32\x00"):
            answer += raw.frame()
        # Reply{id: 1, connect: ConnectResult{client: 36 characters, …}}
        assert answer[1:4] == b"\x08\x01\x2a" and answer[5:7] == b"\x0a\x24"


@pytest.mark.feature("protobuf")
@pytest.mark.parametrize("frame", [b"", b"\x04\x08\x01", b"\xff\xff\xff\xff\xff\xff", b"\x00", b"\x02\x08\x01",
                                   CONNECT[:-1] + b"\x01"], ids=repr)
def test_what_is_no_protobuf_ends_it_with_3501(hub, frame):
    with Raw(hub, PROTOBUF) as raw:
        raw.send(frame)
        assert raw.closed().code == 3501


@pytest.mark.feature("protobuf")
def test_a_ping_is_one_byte_and_so_is_its_answer(strict, fresh):
    connect = token(fresh("alice")).encode()
    inner = b"\x0a" + bytes([len(connect) & 0x7f | 0x80, len(connect) >> 7]) + connect
    command = b"\x08\x01\x22" + bytes([len(inner) & 0x7f | 0x80, len(inner) >> 7]) + inner
    with Raw(strict, PROTOBUF) as raw:
        raw.send(bytes([len(command) & 0x7f | 0x80, len(command) >> 7]) + command)
        raw.frame()
        for _ in range(2):
            assert raw.frame() == b"\x00"
            raw.send(b"\x00")
        assert raw.frame() == b"\x00"
        assert raw.closed().code == 3012
