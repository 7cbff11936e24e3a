"""Who is there, and who comes and goes."""

import pytest

from sdk import Refusal
from tokens import token

pytestmark = pytest.mark.feature("presence")


def test_presence_names_everyone_with_what_their_tokens_say(sdk, fresh):
    channel = fresh("pp:")
    alice, bob = sdk(token=token("alice", info={"name": "Alice"})), sdk(token=token("bob"))
    ids = {}
    for user, client in [("alice", alice), ("bob", bob)]:
        ids[user] = client.connect()["client"]
        client.subscribe(channel)
    present = alice.do("presence", channel=channel)["clients"]
    assert {one["user"]: (key, one["client"]) for key, one in present.items()} \
        == {user: (id, id) for user, id in ids.items()}
    assert present[ids["alice"]]["conn_info"] == {"name": "Alice"}
    assert "conn_info" not in present[ids["bob"]]


def test_statistics_count_clients_and_users(sdk, fresh):
    channel = fresh("pp:")
    for user in ["alice", "alice", "bob"]:
        client = sdk(token=token(user))
        client.connect()
        client.subscribe(channel)
    assert client.do("presence_stats", channel=channel) == {"num_clients": 3, "num_users": 2}


def test_who_unsubscribes_or_leaves_is_no_longer_there(sdk, fresh):
    channel = fresh("pp:")
    alice, bob, carol = [sdk(token=token(user)) for user in ["alice", "bob", "carol"]]
    for client in [alice, bob, carol]:
        client.connect()
        client.subscribe(channel)
    bob.do("unsubscribe", channel=channel)
    carol.do("disconnect")
    left = sorted(alice.take("leave", channel=channel)["info"]["user"] for _ in range(2))
    assert left == ["bob", "carol"]
    assert [one["user"] for one in alice.do("presence", channel=channel)["clients"].values()] == ["alice"]


@pytest.mark.parametrize("verb", ["presence", "presence_stats"])
@pytest.mark.parametrize("channel, code", [("chat-without-presence", 108), ("hidden:x", 103), ("pp:not-subscribed", 103),
                                           ("nosuchnamespace:x", 102)])
def test_presence_that_may_not_be_read_says_why(sdk, verb, channel, code):
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do(verb, channel=channel)
    assert refusal.value.code == code


@pytest.mark.feature("join and leave")
def test_everyone_sees_who_joins_and_leaves_and_oneself_joining(sdk, fresh):
    channel = fresh("pp:")
    alice, bob = sdk(token=token("alice", info={"name": "Alice"})), sdk(token=token("bob", info={"name": "Bob"}))
    me = alice.connect()["client"]
    alice.subscribe(channel)
    own = alice.take("join", channel=channel)["info"]
    assert (own["user"], own["client"], own["conn_info"]) == ("alice", me, {"name": "Alice"})
    other = bob.connect()["client"]
    bob.subscribe(channel)
    for event in ["join", "leave"]:
        seen = alice.take(event, channel=channel)["info"]
        assert (seen["user"], seen["client"], seen["conn_info"]) == ("bob", other, {"name": "Bob"})
        bob.do("unsubscribe", channel=channel)


@pytest.mark.feature("join and leave")
def test_where_they_are_not_pushed_only_who_asks_gets_them(sdk, hub, fresh):
    channel = fresh("asked:")
    curious, other, third = sdk(), sdk(), sdk(token=token("carol"))
    for client, asks in [(curious, {"join_leave": True}), (other, {})]:
        client.connect()
        client.subscribe(channel, **asks)
    third.connect()
    third.subscribe(channel)
    while curious.take("join", channel=channel)["info"]["user"] != "carol":
        pass
    third.do("disconnect")
    assert curious.take("leave", channel=channel)["info"]["user"] == "carol"
    hub.publish(channel, "last")
    other.take("publication", channel=channel)
    assert not other.waiting("join", "leave")


@pytest.mark.feature("join and leave")
def test_who_may_not_read_presence_does_not_get_them_for_the_asking(sdk, hub, fresh):
    channel, curious, other = fresh("hidden:"), sdk(), sdk()
    curious.connect()
    curious.subscribe(channel, join_leave=True)
    other.connect()
    other.subscribe(channel)
    hub.publish(channel, "last")
    curious.take("publication", channel=channel)
    assert not curious.waiting("join", "leave")


@pytest.mark.feature("join and leave")
def test_who_is_cut_off_leaves(sdk, hub, proxy, fresh):
    channel = fresh("pp:")
    alice, bob = sdk(), sdk(at=proxy, token=token("bob"))
    for client in [alice, bob]:
        client.connect()
        client.subscribe(channel)
    proxy.refuse()
    proxy.cut()
    assert alice.take("leave", channel=channel)["info"]["user"] == "bob"
