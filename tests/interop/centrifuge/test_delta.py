"""Publications as differences from the one before."""

import pytest

from cutting_proxy import away
from raw import Raw

pytestmark = pytest.mark.feature("delta")


def document(number):
    """Long and mostly the same: what differences are made for."""
    return {"text": "The quick brown fox jumps over the lazy dog. " * 8, "number": number, "ü": "ß" * (number % 7)}


def test_documents_come_out_whole(sdk, hub, fresh):
    channel, client = fresh("delta:"), sdk()
    client.connect()
    client.subscribe(channel, delta="fossil")
    for number in range(10):
        hub.publish(channel, document(number))
    assert [one["data"] for one in client.publications(channel, 10)] == [document(number) for number in range(10)]


def test_what_resembles_nothing_comes_out_whole_too(sdk, hub, fresh):
    channel, client = fresh("delta:"), sdk()
    client.connect()
    client.subscribe(channel, delta="fossil")
    shapes = [document(1), 1, "a", document(2), None, [], document(2), {"quoted": "\"\n\\"}, document(3)]
    for shape in shapes:
        client.do("publish", channel=channel, data=shape)
    assert [one["data"] for one in client.publications(channel, len(shapes))] == shapes


def test_they_are_whole_after_recovery(sdk, hub, proxy, fresh):
    channel, client = fresh("delta:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel, delta="fossil")
    for number in range(3):
        hub.publish(channel, document(number))
    client.publications(channel, 3)
    away(proxy, client)
    for number in range(3, 8):
        hub.publish(channel, document(number))
    proxy.accept()
    assert client.take("subscribed", channel=channel)["recovered"]
    for number in range(8, 12):
        hub.publish(channel, document(number))
    got = client.publications(channel, 9)
    assert [(one["offset"], one["data"]) for one in got] == [(n + 1, document(n)) for n in range(3, 12)]


def test_who_does_not_ask_gets_ordinary_publications_beside_who_does(sdk, hub, fresh):
    channel, asks, other = fresh("delta:"), sdk(), sdk()
    for client, options in [(asks, {"delta": "fossil"}), (other, {})]:
        client.connect()
        client.subscribe(channel, **options)
    for number in range(5):
        hub.publish(channel, document(number))
    for client in [asks, other]:
        assert [one["data"] for one in client.publications(channel, 5)] == [document(n) for n in range(5)]


def test_where_there_are_none_the_wish_is_passed_over(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.subscribe(channel, delta="fossil")
    hub.publish(channel, document(1))
    hub.publish(channel, document(2))
    assert [one["data"] for one in client.publications(channel, 2)] == [document(1), document(2)]


def test_differences_really_are_sent_and_are_smaller(hub, fresh):
    channel = fresh("delta:")
    with Raw(hub) as raw:
        raw.connect()
        assert raw.ask(2, subscribe={"channel": channel, "delta": "fossil"})["delta"] is True
        hub.publish(channel, document(1))
        hub.publish(channel, document(2))
        first, second = [raw.next()["push"]["pub"] for _ in range(2)]
    assert isinstance(first["data"], str) and "delta" not in first
    assert second["delta"] is True and len(second["data"]) < len(first["data"]) / 3
