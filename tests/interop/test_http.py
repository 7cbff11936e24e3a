"""Plain HTTP: publishing, history, the server API, health, metrics, and what is refused."""

import http.client
import json
import socket

import pytest

from hub import SOON

KEY = {"X-API-Key": "letmein", "Content-Type": "application/json"}


def call(hub, method, request, headers=KEY):
    return hub.post(f"/api/{method}", json.dumps(request), headers)


def test_offsets_count_up_from_publish_to_publish(hub):
    first, second = hub.publish("kept-offsets", "a"), hub.publish("kept-offsets", "b")
    assert second["epoch"] == first["epoch"]
    assert second["offset"] == first["offset"] + 1
    assert second["receivers"] == 0


def test_a_connection_is_kept_for_the_next_request(hub):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=SOON)
    connection.connect()
    ours = connection.sock.getsockname()
    for number in range(5):
        connection.request("POST", "/topics/keepalive", body=f"{number}")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        assert connection.sock is not None and connection.sock.getsockname() == ours
    connection.close()


def test_pipelined_requests_are_answered_in_order(hub):
    with socket.create_connection(("127.0.0.1", hub.port), timeout=SOON) as pipe:
        count = 20
        requests = b"".join(
            b"POST /topics/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n%s\r\n%d"
            % (b"Connection: close\r\n" if number == count - 1 else b"", number % 10)
            for number in range(count)
        )
        pipe.sendall(requests)
        answers = b""
        while chunk := pipe.recv(65536):
            answers += chunk
    bodies = [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in answers.split(b"HTTP/1.1 200")[1:]]
    offsets = [body["offset"] for body in bodies]
    assert offsets == list(range(offsets[0], offsets[0] + count))


def test_history_comes_in_pages_oldest_first(hub):
    for number in range(7):
        hub.publish("kept-pages", f"message {number}")
    seen, query = [], "?limit=3"
    while query:
        page = hub.get(f"/topics/kept-pages{query}").json()
        assert page["topic"] == "kept-pages"
        assert 1 <= len(page["publications"]) <= 3
        seen += [one["data"] for one in page["publications"]]
        query = f'?limit=3&since={page["next"]}' if page["next"] else None
    assert seen == [f"message {number}" for number in range(7)]


def test_history_since_a_position_says_whether_it_is_complete(hub):
    receipts = [hub.publish("short-history", str(number)) for number in range(6)]

    def since(receipt):
        return hub.get(f'/topics/short-history?since={receipt["epoch"]}:{receipt["offset"]}').json()

    complete = since(receipts[3])
    assert complete["recovered"] is True
    assert [one["data"] for one in complete["publications"]] == ["4", "5"]
    assert since(receipts[0])["recovered"] is False


def test_a_topic_that_does_not_exist_has_no_history(hub):
    page = hub.get("/topics/never-heard-of").json()
    assert page["publications"] == [] and page["offset"] == 0


def test_publishing_to_a_closed_topic_needs_the_key(hub):
    answer = hub.post("/topics/closed", "x")
    assert (answer.status, answer.json()["code"]) == (401, "unknown-key")
    answer = hub.post("/topics/closed", "x", {"X-API-Key": "wrong"})
    assert (answer.status, answer.json()["code"]) == (401, "unknown-key")
    assert hub.publish("closed", "x", {"X-API-Key": "letmein"})["offset"] >= 1


def test_the_api_publishes_and_reads_history(hub):
    result = call(hub, "publish", {"channel": "kept-api", "data": {"i": 1}}).json()["result"]
    assert result["offset"] >= 1 and result["epoch"]
    history = call(hub, "history", {"channel": "kept-api", "limit": 10}).json()["result"]
    assert history["publications"][-1]["data"] == {"i": 1}
    assert history["epoch"] == result["epoch"]


def test_what_the_api_publishes_reaches_subscribers(hub, connect):
    client = connect(hub.ws("/topics/api-live"))
    call(hub, "publish", {"channel": "api-live", "data": {"text": "hé"}})
    assert json.loads(client.receive()) == {"text": "hé"}


def test_a_broadcast_answers_for_each_topic_in_order(hub):
    request = {"channels": ["kept-b1", "", "kept-b2"], "data": 7}
    responses = call(hub, "broadcast", request).json()["result"]["responses"]
    assert [("result" in one, "error" in one) for one in responses] == [(True, False), (False, True), (True, False)]


def test_info_tells_of_this_node(hub):
    nodes = call(hub, "info", {}).json()["result"]["nodes"]
    assert len(nodes) == 1
    assert nodes[0]["version"]


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}], ids=["no key", "a wrong key"])
def test_the_api_needs_a_key(hub, headers):
    assert call(hub, "info", {}, headers).status == 401


def test_the_api_refuses_what_it_cannot_read(hub):
    assert hub.post("/api/publish", "not json", KEY).status == 400
    assert call(hub, "publish", {"data": 1}).json()["error"]["code"] == 107
    assert call(hub, "no_such_method", {}).status == 404


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/nothing/here", 404, "unknown-path"),
    ("DELETE", "/topics/x", 405, "method-not-allowed"),
    ("POST", "/metrics", 405, "method-not-allowed"),
    ("GET", "/topics/x?limit=0", 400, "bad-parameter"),
])
def test_what_is_not_served_is_refused_with_its_code(hub, method, path, status, code):
    answer = hub.request(method, path)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_body_over_the_limit_is_refused(hub):
    assert hub.post("/topics/big", b"x" * (64 * 1024)).status == 200
    answer = hub.post("/topics/big", b"x" * (64 * 1024 + 1))
    assert (answer.status, answer.json()["code"]) == (413, "body-too-large")


@pytest.mark.parametrize("headers", [b"", b"Expect: 100-continue\r\n"], ids=["plain", "expecting"])
def test_a_refusal_that_needs_no_body_arrives_before_the_body_does(hub, headers):
    with socket.create_connection(("127.0.0.1", hub.port), timeout=SOON) as client:
        client.sendall(b"POST /topics/closed HTTP/1.1\r\nHost: x\r\n%sContent-Length: 5\r\n\r\n" % headers)
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(("changed", "status"), [
    ({"Sec-WebSocket-Version": "8"}, 426),
    ({"Sec-WebSocket-Key": "short"}, 400),
    ({"Sec-WebSocket-Key": None}, 400),
], ids=["old version", "short key", "no key"])
def test_a_handshake_with_wrong_headers_is_refused(hub, changed, status):
    headers = {name: value for name, value in (HANDSHAKE | changed).items() if value is not None}
    answer = hub.get("/topics/handshake", headers)
    assert answer.status == status, answer
    if status == 426:
        assert answer.headers["Sec-WebSocket-Version"] == "13"


def test_health_and_metrics_answer(hub):
    assert hub.get("/health/live").status == 200
    assert hub.get("/health/ready").status == 200
    assert hub.metric("fanfare_ready") == 1
    before = hub.metric("fanfare_messages_published_total")
    hub.publish("counted", "x")
    assert hub.metric("fanfare_messages_published_total") == before + 1
