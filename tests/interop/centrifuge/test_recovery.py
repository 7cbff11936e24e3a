"""Who is cut off and comes back gets exactly what it missed, or is told that it cannot."""

import pytest

from cutting_proxy import away
from target import eventually

pytestmark = pytest.mark.feature("recovery")


def test_what_was_missed_comes_after_reconnecting_in_order_and_once(sdk, hub, proxy, fresh):
    channel, client = fresh("hh:"), sdk(at=proxy)
    client.connect()
    subscribed = client.subscribe(channel)
    assert subscribed["recoverable"] and subscribed["positioned"] and not subscribed["was_recovering"]
    hub.publish(channel, "seen", tags={"n": "0"})
    assert client.take("publication", channel=channel)["offset"] == 1
    away(proxy, client)
    for number in range(5):
        hub.publish(channel, {"missed": number}, tags={"n": str(number)})
    proxy.accept()
    back = client.take("subscribed", channel=channel)
    assert back["was_recovering"] and back["recovered"]
    hub.publish(channel, "live")
    got = client.publications(channel, 6)
    assert [(one["offset"], one["data"]) for one in got] \
        == [(number + 2, {"missed": number}) for number in range(5)] + [(7, "live")]
    assert [one["tags"] for one in got[:5]] == [{"n": str(number)} for number in range(5)]


def test_who_missed_nothing_has_recovered_with_nothing(sdk, hub, proxy, fresh):
    channel, client = fresh("hh:"), sdk(at=proxy)
    hub.publish(channel, "before")
    client.connect()
    assert client.subscribe(channel)["position"]["offset"] == 1
    away(proxy, client)
    proxy.accept()
    back = client.take("subscribed", channel=channel)
    assert back["was_recovering"] and back["recovered"]
    hub.publish(channel, "live")
    assert client.take("publication", channel=channel)["offset"] == 2


def test_who_joined_an_empty_channel_recovers_from_its_beginning(sdk, hub, proxy, fresh):
    channel, client = fresh("hh:"), sdk(at=proxy)
    client.connect()
    position = client.subscribe(channel)["position"]
    assert position["offset"] == 0 and position["epoch"]
    away(proxy, client)
    hub.publish(channel, "first")
    proxy.accept()
    assert client.take("subscribed", channel=channel)["recovered"]
    assert client.take("publication", channel=channel)["offset"] == 1


def test_who_missed_more_than_is_kept_is_told_so_and_gets_no_part_of_it(sdk, hub, proxy, fresh):
    channel, client = fresh("short:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel)
    away(proxy, client)
    for number in range(5):
        hub.publish(channel, number)
    proxy.accept()
    back = client.take("subscribed", channel=channel)
    assert back["was_recovering"] and not back["recovered"]
    hub.publish(channel, "live")
    publication = client.take("publication", channel=channel)
    assert (publication["data"], publication["offset"]) == ("live", 6)


def test_history_that_was_removed_cannot_be_recovered(sdk, hub, proxy, fresh):
    channel, client = fresh("hh:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel)
    away(proxy, client)
    hub.publish(channel, "gone")
    hub.api("history_remove", channel=channel)
    proxy.accept()
    back = client.take("subscribed", channel=channel)
    assert back["was_recovering"] and not back["recovered"]


def test_several_channels_recover_each_for_itself(sdk, hub, proxy, fresh):
    kept, short, plain = fresh("hh:"), fresh("short:"), fresh("chat")
    client = sdk(at=proxy)
    client.connect()
    for channel in [kept, short, plain]:
        client.subscribe(channel)
    away(proxy, client)
    for number in range(4):
        for channel in [kept, short, plain]:
            hub.publish(channel, number)
    proxy.accept()
    assert client.take("subscribed", channel=kept)["recovered"]
    assert not client.take("subscribed", channel=short)["recovered"]
    again = client.take("subscribed", channel=plain)
    assert not again["recovered"] and not again["was_recovering"]
    assert [one["data"] for one in client.publications(kept, 4)] == [0, 1, 2, 3]
    for channel in [short, plain]:
        hub.publish(channel, "live")
        assert client.take("publication", channel=channel)["data"] == "live"


def test_after_unsubscribing_and_subscribing_again_what_came_between_comes(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.subscribe(channel)
    client.do("unsubscribe", channel=channel)
    client.take("unsubscribed", channel=channel)
    eventually(lambda: not hub.api("channels", pattern=channel)["channels"], lambda: "nobody is there")
    hub.publish(channel, "between")
    client.do("resubscribe", channel=channel)
    assert client.take("subscribed", channel=channel)["recovered"]
    assert client.take("publication", channel=channel)["data"] == "between"


def test_nothing_is_lost_or_doubled_while_others_publish(sdk, hub, proxy, fresh):
    channel, client = fresh("hh:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel)
    for turn in range(5):
        for number in range(20):
            hub.publish(channel, [turn, number])
            if number == 10:
                proxy.cut()
    got = client.publications(channel, 100)
    assert [one["offset"] for one in got] == list(range(1, 101))
    assert [one["data"] for one in got] == [[turn, number] for turn in range(5) for number in range(20)]


@pytest.mark.feature("unrecoverable position")
def test_an_application_with_a_state_of_its_own_subscribes_from_it(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    for number in range(1, 4):
        epoch = hub.publish(channel, number)["epoch"]
    client.connect()
    client.do("subscribe", channel=channel, states=[{"offset": 1, "epoch": epoch}])
    client.take("state-asked", channel=channel)
    client.take("subscribed", channel=channel)
    assert [one["offset"] for one in client.publications(channel, 2)] == [2, 3]


@pytest.mark.feature("unrecoverable position")
def test_a_state_that_cannot_be_recovered_from_is_asked_for_again(sdk, hub, fresh):
    channel, client = fresh("hh:"), sdk()
    epoch = hub.publish(channel, 1)["epoch"]
    client.connect()
    client.do("subscribe", channel=channel,
              states=[{"offset": 1, "epoch": "another"}, {"offset": 0, "epoch": epoch}])
    client.take("state-asked", channel=channel)
    # The hub answered 112 to the first.
    client.take("state-asked", channel=channel)
    client.take("subscribed", channel=channel)
    assert client.take("publication", channel=channel)["offset"] == 1


@pytest.mark.feature("cache recovery")
def test_a_cache_gives_the_newest_to_who_comes_back(sdk, hub, proxy, fresh):
    channel, client = fresh("cache:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel)
    hub.publish(channel, "seen")
    client.take("publication", channel=channel)
    away(proxy, client)
    for number in range(20):
        hub.publish(channel, number)
    proxy.accept()
    assert client.take("subscribed", channel=channel)["recovered"]
    assert client.take("publication", channel=channel)["data"] == 19
    hub.publish(channel, "live")
    assert client.take("publication", channel=channel)["data"] == "live"


@pytest.mark.feature("cache recovery")
def test_a_cache_gives_nothing_new_to_who_has_the_newest(sdk, hub, proxy, fresh):
    channel, client = fresh("cache:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel)
    hub.publish(channel, "seen")
    client.take("publication", channel=channel)
    away(proxy, client)
    proxy.accept()
    assert client.take("subscribed", channel=channel)["recovered"]
    hub.publish(channel, "live")
    assert client.take("publication", channel=channel)["data"] == "live"
