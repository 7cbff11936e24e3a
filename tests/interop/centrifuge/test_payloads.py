"""Application data comes out as it went in, by every way in."""

import json

import pytest

pytestmark = pytest.mark.feature("payloads")

SHAPES = {
    "object": {"a": 1, "b": {"c": [1, 2, {"d": None}]}},
    "array": [1, "two", None, True, False, [], {}],
    "string": "hello",
    "empty string": "",
    "empty object": {},
    "zero": 0,
    "negative fraction": -1.5,
    "large": 9007199254740991,
    "small": 1e-300,
    "true": True,
    "false": False,
    "unicode": "你好，世界 🎺 \u00e9 \u2028 \u2029",
    "control characters": "tab\t newline\n return\r zero\u0000 quote\" backslash\\ slash/",
    "markup": "<script>&amp;</script>",
    "keys of the protocol": {"id": 1, "push": {}, "error": {"code": 1}, "connect": {}, "data": "x"},
    "deep": json.loads("[" * 100 + "]" * 100),
    "wide": {f"key {number}": number for number in range(500)},
    "long": "x" * 50_000,
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda name: name.replace(" ", "-"))
def test_what_the_api_publishes_comes_out_as_it_is(sdk, hub, fresh, shape):
    channel, client = fresh("chat"), sdk()
    client.connect()
    client.subscribe(channel)
    hub.publish(channel, SHAPES[shape])
    assert same(client.take("publication", channel=channel)["data"], SHAPES[shape])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda name: name.replace(" ", "-"))
def test_what_a_client_publishes_comes_out_as_it_is_and_stays_so_in_history(sdk, fresh, shape):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.subscribe(channel)
    client.do("publish", channel=channel, data=SHAPES[shape])
    assert same(client.take("publication", channel=channel)["data"], SHAPES[shape])
    (kept,) = client.do("history", channel=channel, limit=-1)["publications"]
    assert same(kept["data"], SHAPES[shape])


def same(got, wanted):
    # 1 and True are equal in Python.
    return json.dumps(got, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def test_null_is_published_by_the_api_where_it_is_data(sdk, hub, fresh):
    channel, client = fresh("chat"), sdk()
    client.connect()
    client.subscribe(channel)
    hub.publish(channel, [None])
    assert client.take("publication", channel=channel)["data"] == [None]


def between_tokens(hub, client, channel, space):
    """Publishes JSON with this between its tokens, as no library would write it, and something after it."""
    client.connect()
    client.subscribe(channel)
    body = '{"channel": "%s", "data": {"a":%s[1,%s2]%s}}' % (channel, space, space, space)
    answer = hub.post("/api/publish", body)
    assert "result" in answer.json(), answer
    hub.publish(channel, "next")
    assert [one["data"] for one in client.publications(channel, 2)] == [{"a": [1, 2]}, "next"]
    history = client.do("history", channel=channel, limit=-1)["publications"]
    assert [one["data"] for one in history] == [{"a": [1, 2]}, "next"]


def test_newlines_between_tokens_do_not_break_the_lines(sdk, hub, fresh):
    between_tokens(hub, sdk(), fresh("hh:"), "\n\n \t")


@pytest.mark.feature("carriage returns")
def test_carriage_returns_between_tokens_do_not_break_the_lines(sdk, hub, fresh):
    between_tokens(hub, sdk(), fresh("hh:"), "\r\n \r")


def test_tags_come_with_the_publication(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.subscribe(channel)
    hub.publish(channel, 1, tags={"lang": "en", "ключ": "値"})
    assert client.take("publication", channel=channel)["tags"] == {"lang": "en", "ключ": "値"}


@pytest.mark.feature("protobuf")
def test_bytes_that_are_no_json_reach_protobuf_clients(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.subscribe(channel)
    data = bytes(range(256))
    if client.format == "protobuf":
        client.do("publish", channel=channel, data=data)
        assert client.take("publication", channel=channel)["data_bytes"] == data
        (kept,) = client.do("history", channel=channel, limit=-1)["publications"]
        assert kept["data_bytes"] == data
    else:
        # To a client that was promised JSON they cannot be sent, and leaving them out would be a lie. fanfare sends base64: one
        # odd publisher must not end the connections of all subscribers for good.
        hub.api("publish", channel=channel, b64data="AP8=")
        if hub.name == "fanfare":
            assert client.take("publication", channel=channel)["data"] == "AP8="
        else:
            assert client.take("disconnected")["code"] == 3506
