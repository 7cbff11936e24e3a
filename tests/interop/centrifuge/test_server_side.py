"""Subscriptions that the server makes, and what the server does to clients."""

import time

import pytest

from cutting_proxy import away
from target import eventually
from tokens import token

pytestmark = pytest.mark.feature("server-side subscriptions")


def test_a_token_subscribes_to_the_channels_it_lists(sdk, hub, fresh):
    plain, kept = fresh("news"), fresh("hh:")
    client = sdk(token=token("alice", channels=[plain, kept]))
    client.connect()
    for channel, recoverable in [(plain, False), (kept, True)]:
        assert client.take("server-subscribed", channel=channel)["recoverable"] == recoverable
        hub.publish(channel, {"to": channel}, tags={"a": "b"})
        publication = client.take("server-publication", channel=channel)
        assert (publication["data"], publication["tags"]) == ({"to": channel}, {"a": "b"})
        assert publication["offset"] == int(recoverable)


def test_a_token_subscribes_with_info_and_data(sdk, hub, fresh):
    channel = fresh("pp:")
    client = sdk(token=token("alice", subs={channel: {"info": {"role": "owner"}, "data": {"welcome": 1}}}))
    client.connect()
    assert client.take("server-subscribed", channel=channel)["data"] == {"welcome": 1}
    assert client.take("server-join", channel=channel)["info"]["chan_info"] == {"role": "owner"}
    (present,) = hub.api("presence", channel=channel)["presence"].values()
    assert present["chan_info"] == {"role": "owner"}


def test_what_a_token_subscribes_to_recovers(sdk, hub, proxy, fresh):
    channel = fresh("hh:")
    client = sdk(at=proxy, token=token("alice", channels=[channel]))
    client.connect()
    client.take("server-subscribed", channel=channel)
    hub.publish(channel, 1)
    client.take("server-publication", channel=channel)
    away(proxy, client)
    for number in [2, 3]:
        hub.publish(channel, number)
    proxy.accept()
    back = client.take("server-subscribed", channel=channel)
    assert back["was_recovering"] and back["recovered"]
    hub.publish(channel, 4)
    got = [client.take("server-publication", channel=channel) for _ in range(3)]
    assert [(one["data"], one["offset"]) for one in got] == [(2, 2), (3, 3), (4, 4)]


def test_what_a_token_subscribes_to_is_told_when_it_cannot_recover(sdk, hub, proxy, fresh):
    channel = fresh("short:")
    client = sdk(at=proxy, token=token("alice", channels=[channel]))
    client.connect()
    client.take("server-subscribed", channel=channel)
    away(proxy, client)
    for number in range(5):
        hub.publish(channel, number)
    proxy.accept()
    back = client.take("server-subscribed", channel=channel)
    assert back["was_recovering"] and not back["recovered"]


def test_the_api_subscribes_and_unsubscribes_a_user(sdk, hub, fresh):
    channel, user = fresh("hh:"), fresh("alice")
    client = sdk(token=token(user))
    client.connect()
    hub.api("subscribe", user=user, channel=channel, data={"welcome": 1})
    subscribed = client.take("server-subscribed", channel=channel)
    assert subscribed["recoverable"] and subscribed["positioned"] and subscribed["data"] == {"welcome": 1}
    hub.publish(channel, 1)
    assert client.take("server-publication", channel=channel)["data"] == 1
    hub.api("unsubscribe", user=user, channel=channel)
    client.take("server-unsubscribed", channel=channel)
    assert channel not in hub.api("channels", pattern=channel)["channels"]


def test_the_api_subscribes_one_client_of_a_user(sdk, hub, fresh):
    channel, user = fresh("news"), fresh("alice")
    first, second = sdk(token=token(user)), sdk(token=token(user))
    ids = [client.connect()["client"] for client in [first, second]]
    hub.api("subscribe", user=user, channel=channel, client=ids[1])
    second.take("server-subscribed", channel=channel)
    assert hub.api("channels", pattern=channel)["channels"][channel] == {"num_clients": 1}


def test_what_the_api_subscribed_from_a_position_begins_there(sdk, hub, fresh):
    channel, user = fresh("hh:"), fresh("alice")
    for number in [1, 2, 3]:
        epoch = hub.publish(channel, number)["epoch"]
    client = sdk(token=token(user))
    client.connect()
    hub.api("subscribe", user=user, channel=channel, recover_since={"offset": 3, "epoch": epoch})
    assert client.take("server-subscribed", channel=channel)["position"] == {"offset": 3, "epoch": epoch}
    hub.publish(channel, 4)
    assert client.take("server-publication", channel=channel)["offset"] == 4


def test_the_api_unsubscribes_what_the_client_subscribed_to(sdk, hub, fresh):
    channel, user = fresh("chat"), fresh("alice")
    client = sdk(token=token(user))
    client.connect()
    client.subscribe(channel)
    hub.api("unsubscribe", user=user, channel=channel)
    ended = client.take("unsubscribed", channel=channel)
    assert (ended["code"], ended["reason"]) == (2000, "server unsubscribe")


@pytest.mark.feature("personal channels")
def test_a_user_gets_what_is_published_to_the_user(sdk, hub, proxy, fresh):
    user = fresh("alice")
    client = sdk(at=proxy, token=token(user))
    client.connect()
    client.take("server-subscribed", channel=f"user:#{user}")
    hub.publish(f"user:#{user}", "for you")
    assert client.take("server-publication", channel=f"user:#{user}")["data"] == "for you"
    away(proxy, client)
    hub.publish(f"user:#{user}", "missed")
    proxy.accept()
    assert client.take("server-subscribed", channel=f"user:#{user}")["recovered"]
    assert client.take("server-publication", channel=f"user:#{user}")["data"] == "missed"


@pytest.mark.feature("personal channels")
def test_an_anonymous_client_has_no_personal_channel(sdk):
    client = sdk()
    client.connect()
    client.subscribe("somewhere")
    assert not client.waiting("server-subscribed")


@pytest.mark.feature("disconnect")
def test_the_api_ends_the_connections_of_a_user_for_good(sdk, hub, fresh):
    user = fresh("alice")
    client = sdk(token=token(user))
    client.connect()
    hub.api("disconnect", user=user)
    ended = client.take("disconnected")
    assert (ended["code"], ended["reason"]) == (3503, "force disconnect")


@pytest.mark.feature("disconnect")
@pytest.mark.parametrize("code", [4000, 4499, 3001, 3011])
def test_after_a_code_that_says_so_the_client_comes_back(sdk, hub, fresh, code):
    user = fresh("alice")
    client = sdk(token=token(user))
    client.connect()
    hub.api("disconnect", user=user, disconnect={"code": code, "reason": "for a while"})
    gone = client.take("connecting")
    assert (gone["code"], gone["reason"]) == (code, "for a while")
    client.take("connected")


@pytest.mark.feature("disconnect")
@pytest.mark.parametrize("code", [4500, 4999, 3500, 3999])
def test_after_a_code_of_the_terminal_ones_it_does_not(sdk, hub, fresh, code):
    user = fresh("alice")
    client = sdk(token=token(user))
    client.connect()
    hub.api("disconnect", user=user, disconnect={"code": code, "reason": "for good"})
    ended = client.take("disconnected")
    assert (ended["code"], ended["reason"]) == (code, "for good")


@pytest.mark.feature("disconnect")
def test_the_api_ends_all_connections_of_a_user_but_those_it_lists(sdk, hub, fresh):
    user = fresh("alice")
    clients = [sdk(token=token(user)) for _ in range(3)]
    ids = [client.connect()["client"] for client in clients]
    hub.api("disconnect", user=user, whitelist=[ids[1]])
    for client in [clients[0], clients[2]]:
        client.take("disconnected")
    channel = fresh("chat")
    clients[1].subscribe(channel)
    hub.publish(channel, "still here")
    clients[1].take("publication", channel=channel)


@pytest.mark.feature("disconnect")
def test_the_api_ends_one_connection_of_a_user(sdk, hub, fresh):
    user = fresh("alice")
    clients = [sdk(token=token(user)) for _ in range(2)]
    ids = [client.connect()["client"] for client in clients]
    hub.api("disconnect", user=user, client=ids[0])
    clients[0].take("disconnected")
    clients[1].subscribe(fresh("chat"))


@pytest.mark.feature("connection refresh")
def test_the_api_lets_connections_of_a_user_expire(sdk, hub, fresh):
    user = fresh("alice")
    client = sdk(token=token(user, expires_in=600), tokens=[token(user, expires_in=600)])
    client.connect()
    hub.api("refresh", user=user, expired=True)
    assert client.take("connecting")["code"] == 3005
    client.take("connected")


@pytest.mark.feature("connection refresh")
def test_the_api_prolongs_connections_of_a_user(sdk, strict, fresh):
    user = fresh("alice")
    client = sdk(at=strict, token=token(user))
    client.connect()
    strict.api("refresh", user=user, expire_at=int(time.time()) + 600)
    channel = fresh("chat")
    client.subscribe(channel)
    strict.publish(channel, 1)
    client.take("publication", channel=channel)
    assert not client.waiting("connecting", "disconnected")


@pytest.mark.feature("presence")
def test_the_api_sees_what_clients_see(sdk, hub, fresh):
    channel, user = fresh("pp:"), fresh("alice")
    client = sdk(token=token(user, info={"name": "Alice"}))
    me = client.connect()["client"]
    client.subscribe(channel)
    present = hub.api("presence", channel=channel)["presence"]
    assert present == {me: {"user": user, "client": me, "conn_info": {"name": "Alice"}}}
    assert hub.api("presence_stats", channel=channel) == {"num_clients": 1, "num_users": 1}
    client.do("disconnect")
    eventually(lambda: hub.api("presence", channel=channel) == {"presence": {}}, lambda: "nobody is there")
