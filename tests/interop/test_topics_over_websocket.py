"""`/topics/{topic}` with a WebSocket: subscribing, publishing, coming back."""

import json

import pytest

from clients import Refused


def position(publication):
    return f'{publication["epoch"]}:{publication["offset"]}'


def test_what_is_posted_comes_out_as_it_is(hub, connect):
    client = connect(hub.ws("/topics/plain"))
    receipt = hub.publish("plain", "hello")
    assert client.receive() == "hello"
    assert receipt["topic"] == "plain"
    assert receipt["receivers"] >= 1
    assert receipt["offset"] >= 1 and receipt["epoch"]


def test_text_stays_text_and_binary_stays_binary(hub, connect):
    client = connect(hub.ws("/topics/kinds"))
    hub.publish("kinds", b"\x00\xff", {"Content-Type": "application/octet-stream"})
    assert client.receive() == b"\x00\xff"
    hub.publish("kinds", "text", {"Content-Type": "application/octet-stream"})
    assert client.receive() == b"text"
    hub.publish("kinds", '{"a":1}', {"Content-Type": "application/json"})
    assert client.receive() == '{"a":1}'
    hub.publish("kinds", b"\xff\xfe", {"Content-Type": "text/plain"})
    assert client.receive() == b"\xff\xfe"


def test_what_a_client_sends_goes_to_every_subscriber(hub, connect):
    alice, bob = connect(hub.ws("/topics/room")), connect(hub.ws("/topics/room"))
    alice.send("from alice")
    assert alice.receive() == "from alice"
    assert bob.receive() == "from alice"
    bob.send(b"\x01\x02")
    assert alice.receive() == b"\x01\x02"


def test_topics_do_not_hear_each_other(hub, connect):
    one, two = connect(hub.ws("/topics/one")), connect(hub.ws("/topics/two"))
    hub.publish("one", "for one")
    hub.publish("two", "for two")
    assert one.receive() == "for one"
    assert two.receive() == "for two"


def test_a_topic_is_the_same_however_its_name_is_encoded(hub, connect):
    client = connect(hub.ws("/topics/%E4%BD%A0%E5%A5%BD%20%F0%9F%8E%BA"))
    assert hub.publish("%e4%bd%a0%e5%a5%bd%20%f0%9f%8e%ba", "hi")["topic"] == "你好 🎺"
    assert client.receive() == "hi"


@pytest.mark.parametrize("name", ["%FF", "%00", "a%0Ab", "x" * 256, "%C3"])
def test_a_name_that_is_none_is_refused_with_its_code(hub, connect, name):
    with pytest.raises(Refused) as refused:
        connect(hub.ws(f"/topics/{name}"))
    assert refused.value.status == 400
    answer = hub.post(f"/topics/{name}", "x")
    assert (answer.status, answer.json()["code"]) == (400, "bad-topic-name")


def test_a_name_may_have_255_bytes(hub, connect):
    client = connect(hub.ws("/topics/" + "x" * 255))
    hub.publish("x" * 255, "hi")
    assert client.receive() == "hi"


def test_history_is_replayed_and_continues_without_a_gap(hub, connect):
    for number in range(10):
        hub.publish("kept-replay", f"message {number}")
    client = connect(hub.ws("/topics/kept-replay?history=4"))
    hub.publish("kept-replay", "message 10")
    assert [client.receive() for _ in range(5)] == [f"message {number}" for number in range(6, 11)]


def test_with_json_each_publication_has_its_position(hub, connect):
    client = connect(hub.ws("/topics/kept-json?format=json"))
    receipt = hub.publish("kept-json", "a \"quoted\" text")
    publication = json.loads(client.receive())
    assert publication == {
        "topic": "kept-json", "epoch": receipt["epoch"], "offset": receipt["offset"], "data": "a \"quoted\" text",
    }
    hub.publish("kept-json", b"\x00\xff", {"Content-Type": "application/octet-stream"})
    publication = json.loads(client.receive())
    assert publication["base64"] == "AP8=" and "data" not in publication


def test_a_client_that_comes_back_gets_exactly_what_it_missed(hub, connect):
    client = connect(hub.ws("/topics/kept-resume?format=json"))
    hub.publish("kept-resume", "seen")
    last = json.loads(client.receive())
    client.close()
    for number in range(7):
        hub.publish("kept-resume", f"missed {number}")
    client = connect(hub.ws(f"/topics/kept-resume?format=json&since={position(last)}"))
    hub.publish("kept-resume", "live")
    notice = json.loads(client.receive())
    assert notice["recovered"] is True
    publications = [json.loads(client.receive()) for _ in range(8)]
    assert [one["data"] for one in publications] == [f"missed {number}" for number in range(7)] + ["live"]
    assert [one["offset"] for one in publications] == list(range(last["offset"] + 1, last["offset"] + 9))


def test_a_client_that_comes_back_too_late_is_told_so(hub, connect):
    client = connect(hub.ws("/topics/short-resume?format=json"))
    hub.publish("short-resume", "seen")
    last = json.loads(client.receive())
    client.close()
    for number in range(10):
        hub.publish("short-resume", f"missed {number}")
    client = connect(hub.ws(f"/topics/short-resume?format=json&since={position(last)}"))
    assert json.loads(client.receive())["recovered"] is False


def test_a_position_of_another_life_of_the_topic_is_not_recovered(hub, connect):
    hub.publish("kept-epoch", "x")
    client = connect(hub.ws("/topics/kept-epoch?format=json&since=1:1"))
    assert json.loads(client.receive())["recovered"] is False


def test_one_socket_may_carry_several_topics_and_resumes_each(hub, connect):
    topics = ["kept-several-1", "kept-several-2", "kept-several-3"]
    target = f"/topics/{topics[0]}?also={topics[1]}&also={topics[2]}&format=json"
    client = connect(hub.ws(target))
    last = {}
    for topic in topics:
        hub.publish(topic, f"for {topic}")
        publication = json.loads(client.receive())
        assert (publication["topic"], publication["data"]) == (topic, f"for {topic}")
        last[topic] = publication
    client.send("said")
    assert json.loads(client.receive())["topic"] == topics[0]
    client.close()
    hub.publish(topics[2], "missed")
    since = ",".join(position(last[topic]) for topic in topics)
    client = connect(hub.ws(f"{target}&since={since}"))
    notices = [json.loads(client.receive()) for _ in topics]
    assert [(one["topic"], one["recovered"]) for one in notices] == [(topic, True) for topic in topics]
    assert [json.loads(client.receive())["data"] for _ in range(2)] == ["said", "missed"]
    with pytest.raises(Refused) as refused:
        connect(hub.ws(f"/topics/{topics[0]}?also={topics[1]}"))
    assert refused.value.status == 400


def test_a_client_that_may_not_publish_is_told_why(hub, connect):
    client = connect(hub.ws("/topics/closed?format=json"))
    client.send("may I?")
    assert json.loads(client.receive())["error"]["code"] == "publish-not-allowed"
    hub.publish("closed", "from the operator", {"X-API-Key": "letmein"})
    assert json.loads(client.receive())["data"] == "from the operator"


@pytest.mark.parametrize("query", ["since=abc", "since=1", "history=-1", "history=x", "format=xml"])
def test_a_parameter_that_cannot_be_understood_is_refused(hub, connect, query):
    with pytest.raises(Refused) as refused:
        connect(hub.ws(f"/topics/kept-x?{query}"))
    assert refused.value.status == 400
