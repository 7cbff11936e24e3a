"""Subscriptions that clients make, and what they are refused."""

import pytest

from sdk import Refusal
from target import eventually
from tokens import token

pytestmark = pytest.mark.feature("subscribe")


def test_a_subscriber_gets_what_is_published(sdk, hub, fresh):
    channel, client = fresh("chat"), sdk()
    client.connect()
    subscribed = client.subscribe(channel)
    assert not subscribed["recoverable"] and not subscribed["positioned"]
    hub.publish(channel, {"text": "hello"})
    assert client.take("publication", channel=channel)["data"] == {"text": "hello"}


def test_publications_of_several_channels_come_in_the_order_of_each(sdk, hub, fresh):
    channels, client = [fresh("chat") for _ in range(3)], sdk()
    client.connect()
    for channel in channels:
        client.subscribe(channel)
    for number in range(30):
        hub.publish(channels[number % 3], number)
    for at, channel in enumerate(channels):
        assert [one["data"] for one in client.publications(channel, 10)] == list(range(at, 30, 3))


def test_subscriptions_made_before_connecting_are_sent_with_it(sdk, hub, fresh):
    channels, client = [fresh("chat") for _ in range(3)], sdk()
    for channel in channels:
        client.do("subscribe", channel=channel)
    client.do("connect")
    client.take("connected")
    for channel in channels:
        client.take("subscribed", channel=channel)
        hub.publish(channel, channel)
        assert client.take("publication", channel=channel)["data"] == channel


def test_after_unsubscribing_nothing_comes_until_subscribed_again(sdk, hub, fresh):
    channel, client = fresh("chat"), sdk()
    client.connect()
    client.subscribe(channel)
    client.do("unsubscribe", channel=channel)
    assert client.take("unsubscribed", channel=channel)["code"] == 0
    gone(hub, channel)
    hub.publish(channel, "nobody is there")
    client.do("resubscribe", channel=channel)
    client.take("subscribed", channel=channel)
    hub.publish(channel, "back")
    assert client.take("publication", channel=channel)["data"] == "back"


def gone(hub, channel):
    """Waits until the hub has no subscriber there."""
    eventually(lambda: not hub.api("channels", pattern=channel)["channels"], lambda: f"nobody is in {channel}")


@pytest.mark.parametrize("channel, code", [
    ("nosuchnamespace:x", 102), ("token:x", 103), ("auth:x", 103), ("#bob", 103), ("user:#bob", 103),
    ("hh:" + "x" * 253, 107),
])
def test_a_refused_subscription_says_why(sdk, channel, code):
    client = sdk()
    client.connect()
    client.do("subscribe", channel=channel)
    assert client.take("unsubscribed", channel=channel)["code"] == code


def test_one_subscription_too_many_is_refused_with_106(sdk, fresh):
    client = sdk()
    client.connect()
    channels = [fresh("chat") for _ in range(129)]
    for channel in channels:
        client.do("subscribe", channel=channel)
    # Which one is not said: over HTTP each command is a request of its own, and they overtake each other.
    client.take("unsubscribed", code=106)
    for _ in range(128):
        client.take("subscribed")
    assert not client.waiting("unsubscribed")


@pytest.mark.feature("user-limited channels")
def test_a_user_limited_channel_lets_in_those_it_names(sdk, hub, fresh):
    alice, carol = sdk(token=token("alice")), sdk(token=token("carol"))
    channel = fresh("meeting") + "#alice,bob"
    alice.connect()
    alice.subscribe(channel)
    hub.publish(channel, 1)
    assert alice.take("publication", channel=channel)["data"] == 1
    carol.connect()
    carol.do("subscribe", channel=channel)
    assert carol.take("unsubscribed", channel=channel)["code"] == 103


@pytest.mark.feature("subscription tokens")
def test_a_token_opens_the_channel_it_names(sdk, hub, fresh):
    channel, client = fresh("token:"), sdk(token=token("alice"))
    client.connect()
    client.subscribe(channel, token=token("alice", channel=channel, info={"role": "owner"}))
    hub.publish(channel, 1)
    assert client.take("publication", channel=channel)["data"] == 1
    (present,) = client.do("presence", channel=channel)["clients"].values()
    assert (present["user"], present["chan_info"]) == ("alice", {"role": "owner"})


@pytest.mark.feature("subscription tokens")
def test_a_private_channel_needs_a_token(sdk, fresh):
    channel, client = fresh("$private"), sdk(token=token("alice"))
    client.connect()
    client.do("subscribe", channel=channel)
    assert client.take("unsubscribed", channel=channel)["code"] == 103
    other = fresh("$private")
    client.subscribe(other, token=token("alice", channel=other))


@pytest.mark.feature("subscription tokens")
def test_an_anonymous_client_may_have_a_subscription_token(sdk, fresh):
    channel, client = fresh("token:"), sdk()
    client.connect()
    client.subscribe(channel, token=token("", channel=channel))


@pytest.mark.feature("subscription tokens")
def test_a_token_that_is_none_is_refused(sdk, fresh):
    channel, client = fresh("token:"), sdk(token=token("alice"))
    client.connect()
    client.do("subscribe", channel=channel, token="garbage")
    assert client.take("unsubscribed", channel=channel)["code"] == 103


@pytest.mark.feature("subscription tokens")
@pytest.mark.parametrize("wrong", ["channel", "user"])
def test_a_token_for_another_channel_or_user_ends_the_connection(sdk, fresh, wrong):
    channel, client = fresh("token:"), sdk(token=token("alice"))
    client.connect()
    user, named = ("alice", channel + "x") if wrong == "channel" else ("bob", channel)
    client.do("subscribe", channel=channel, token=token(user, channel=named))
    assert client.take("disconnected")["code"] == 3500


@pytest.mark.feature("subscription tokens")
def test_an_expired_subscription_token_is_replaced(sdk, fresh):
    channel, client = fresh("token:"), sdk(token=token("alice"))
    client.connect()
    client.do("subscribe", channel=channel, token=token("alice", channel=channel, expires_in=-10),
              tokens=[token("alice", channel=channel, expires_in=600)])
    client.take("token-asked", channel=channel)
    client.take("subscribed", channel=channel)


@pytest.mark.feature("subscription refresh")
def test_a_subscription_is_refreshed_before_it_expires_and_lives_on(every, strict, fresh):
    clients = {}
    for flavour in every:
        channel, alice = fresh("token:"), fresh("alice")
        client = clients[channel] = every[flavour](at=strict, token=token(alice))
        client.connect()
        first, *later = [token(alice, channel=channel, expires_in=seconds) for seconds in (2, 6, 600)]
        client.subscribe(channel, token=first, tokens=later)
    for channel, client in clients.items():
        client.take("token-asked", channel=channel)
    for channel, client in clients.items():
        # The second time is when the second token expires: had it not been taken, the subscription would be gone.
        client.take("token-asked", channel=channel)
        strict.publish(channel, "still there")
        assert client.take("publication", channel=channel)["data"] == "still there"
        assert len(client.waiting("subscribing", "unsubscribed")) == 1, client.flavour


@pytest.mark.feature("subscription refresh")
def test_a_subscription_whose_application_refuses_to_refresh_it_ends(every, strict, fresh):
    clients = {}
    for flavour in every:
        channel, alice = fresh("token:"), fresh("alice")
        client = clients[channel] = every[flavour](at=strict, token=token(alice))
        client.connect()
        client.subscribe(channel, token=token(alice, channel=channel, expires_in=2), tokens=[])
    for channel, client in clients.items():
        assert client.take("unsubscribed", channel=channel)["code"] == 1, client.flavour
        gone(strict, channel)


@pytest.mark.feature("publish")
def test_a_subscriber_publishes_and_gets_it_with_its_own_info(sdk, fresh):
    channel, client = fresh("chat"), sdk(token=token("alice", info={"name": "Alice"}))
    me = client.connect()["client"]
    client.subscribe(channel)
    client.do("publish", channel=channel, data={"text": "hello"})
    publication = client.take("publication", channel=channel)
    assert publication["data"] == {"text": "hello"}
    info = publication["info"]
    assert (info["user"], info["client"], info["conn_info"]) == ("alice", me, {"name": "Alice"})


@pytest.mark.feature("publish")
def test_who_may_publish_without_subscribing_does(sdk, fresh):
    channel, reader, writer = fresh("hh:"), sdk(), sdk()
    reader.connect()
    reader.subscribe(channel)
    writer.connect()
    writer.do("publish", channel=channel, data=[1, 2])
    publication = reader.take("publication", channel=channel)
    assert (publication["data"], publication["offset"]) == ([1, 2], 1)


@pytest.mark.feature("publish")
@pytest.mark.parametrize("channel, code", [
    ("nosuchnamespace:x", 102), ("api:x", 103), ("auth:x", 103), ("chat-not-subscribed", 103),
])
def test_a_refused_publication_says_why(sdk, channel, code):
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do("publish", channel=channel, data=1)
    assert refusal.value.code == code
