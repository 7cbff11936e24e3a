"""Subscriptions to all channels of a prefix."""

import pytest

from cutting_proxy import away

pytestmark = pytest.mark.feature("wildcards")


def test_publications_of_all_channels_of_the_prefix_come_by_the_wildcard(sdk, hub, fresh):
    prefix, client = fresh("wild:"), sdk()
    wildcard = f"{prefix}.*"
    client.connect()
    client.subscribe(wildcard)
    for number in range(6):
        hub.publish(f"{prefix}.{number % 3}", number)
        hub.publish(f"{prefix}{number}", "not below it")
    assert [one["data"] for one in client.publications(wildcard, 6)] == list(range(6))


def test_a_channel_and_its_wildcard_are_two_subscriptions(sdk, hub, fresh):
    prefix, client = fresh("wild:"), sdk()
    channel, wildcard = f"{prefix}.a", f"{prefix}.*"
    client.connect()
    client.subscribe(channel)
    client.subscribe(wildcard)
    hub.publish(channel, "both")
    assert client.publications(channel, 1)[0]["data"] == "both"
    assert client.publications(wildcard, 1)[0]["data"] == "both"
    client.do("unsubscribe", channel=channel)
    client.take("unsubscribed", channel=channel)
    hub.publish(channel, "one")
    assert client.publications(wildcard, 1)[0]["data"] == "one"


def test_after_a_lost_connection_it_goes_on_without_what_was_missed(sdk, hub, proxy, fresh):
    prefix, client = fresh("wild:"), sdk(at=proxy)
    wildcard = f"{prefix}.*"
    client.connect()
    client.subscribe(wildcard)
    away(proxy, client)
    hub.publish(f"{prefix}.a", "missed")
    proxy.accept()
    assert not client.take("subscribed", channel=wildcard)["recovered"]
    hub.publish(f"{prefix}.a", "live")
    assert client.publications(wildcard, 1)[0]["data"] == "live"


def test_nothing_is_published_on_a_wildcard(hub, fresh):
    answer = hub.post("/api/publish", {"channel": f"{fresh('wild:')}.*", "data": 1})
    assert answer.json()["error"]["code"] == 107
