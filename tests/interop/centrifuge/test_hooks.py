"""The application's backend decides: what it is asked, to the byte of the JSON, and what comes of its answers."""

import time

import pytest

from sdk import Refusal
from tokens import token

pytestmark = pytest.mark.feature("hooks")


def common(client, me, user):
    """What every question but that of connect says."""
    # The encoding is that of the question, and its data is JSON whatever the client speaks.
    return {"client": me, "transport": client.transport, "protocol": client.format, "encoding": "json", "user": user}


def without(body, field):
    return {key: value for key, value in body.items() if key != field}


def test_connect_is_asked_and_says_who_it_is(sdk, hooked, backend, fresh):
    user, channel = fresh("alice"), fresh("pp:")
    backend.answer("connect", {"result": {
        "user": user, "info": {"name": "Alice"}, "data": {"welcome": True}, "channels": [channel]}})
    client = sdk(at=hooked, data={"secret": 1}, name="app")
    connected = client.connect()
    assert connected["data"] == {"welcome": True}
    asked = backend.asked("connect")
    expected = without(common(client, connected["client"], user), "user")
    assert asked == {**expected, "name": "app", "data": {"secret": 1}}
    client.take("server-subscribed", channel=channel)
    (present,) = hooked.api("presence", channel=channel)["presence"].values()
    assert present == {"client": connected["client"], "user": user, "conn_info": {"name": "Alice"}}


def test_connect_is_not_asked_of_who_has_a_token(sdk, hooked, backend, fresh):
    backend.answer("connect", {"disconnect": {"code": 4500, "reason": "not to be asked"}})
    client = sdk(at=hooked, token=token(fresh("alice")))
    client.connect()


def test_connect_may_refuse_with_a_code(sdk, hooked, backend):
    backend.answer("connect", {"disconnect": {"code": 4501, "reason": "denied by backend"}})
    client = sdk(at=hooked)
    client.do("connect")
    ended = client.take("disconnected")
    assert (ended["code"], ended["reason"]) == (4501, "denied by backend")


def test_connect_may_refuse_with_an_error(sdk, hooked, backend):
    backend.answer("connect", {"error": {"code": 1001, "message": "no"}})
    client = sdk(at=hooked)
    client.do("connect")
    assert client.take("disconnected")["code"] == 1001


def test_a_backend_that_fails_is_asked_again(sdk, hooked, backend, fresh):
    backend.answer("connect", lambda _: 500)
    client = sdk(at=hooked)
    client.do("connect")
    backend.asked("connect")
    backend.answer("connect", {"result": {"user": fresh("alice")}})
    client.take("connected")


@pytest.mark.feature("emulated headers")
def test_headers_in_the_connect_command_reach_the_backend_if_they_are_allowed(sdk, hooked, backend, fresh):
    backend.answer("connect", {"result": {"user": fresh("alice")}})
    client = sdk(at=hooked, headers={"X-Told": "yes", "X-Not-Told": "no"})
    client.connect()
    backend.asked("connect")
    headers = {key.lower(): value for key, value in backend.headers.items()}
    assert headers["x-told"] == "yes" and "x-not-told" not in headers


def test_refresh_is_asked_when_a_connection_expires_and_prolongs_it(every, hooked, backend, fresh):
    clients = {}
    backend.answer("refresh", lambda _: {"result": {"expire_at": int(time.time()) + 2}})
    for flavour in every:
        user = fresh("alice")
        backend.answer("connect", {"result": {"user": user, "expire_at": int(time.time()) + 2}})
        client = clients[user] = every[flavour](at=hooked)
        client.id = client.connect()["client"]
    for user, client in clients.items():
        assert backend.asked("refresh", user=user) == common(client, client.id, user)
    for user, client in clients.items():
        # Asked a second time: the connection lived longer than it would have.
        backend.asked("refresh", user=user)
        assert not client.waiting("connecting", "disconnected", "token-asked"), client.flavour


def test_refresh_may_let_a_connection_expire(every, hooked, backend, fresh):
    clients = []
    backend.answer("refresh", {"result": {"expired": True}})
    for flavour in every:
        backend.answer("connect", {"result": {"user": fresh("alice"), "expire_at": int(time.time()) + 2}})
        clients.append(every[flavour](at=hooked))
        clients[-1].connect()
    for client in clients:
        assert client.take("connecting")["code"] == 3005, client.flavour


def test_subscribe_is_asked_and_gives_info_and_data(sdk, hub, backend, fresh):
    user, channel = fresh("alice"), fresh("hook:")
    backend.answer("subscribe", {"result": {"info": {"role": "owner"}, "data": {"welcome": 1}}})
    client = sdk(token=token(user))
    me = client.connect()["client"]
    assert client.subscribe(channel, data={"in": 1})["data"] == {"welcome": 1}
    assert backend.asked("subscribe") == {**common(client, me, user), "channel": channel, "data": {"in": 1}}
    (present,) = client.do("presence", channel=channel)["clients"].values()
    assert present["chan_info"] == {"role": "owner"}


def test_subscribe_may_refuse_with_an_error(sdk, hub, backend, fresh):
    channel, client = fresh("hook:"), sdk(token=token(fresh("alice")))
    backend.answer("subscribe", {"error": {"code": 1003, "message": "not you"}})
    client.connect()
    client.do("subscribe", channel=channel)
    ended = client.take("unsubscribed", channel=channel)
    assert (ended["code"], ended["reason"]) == (1003, "not you")


def test_subscribe_may_end_the_connection(sdk, hub, backend, fresh):
    channel, client = fresh("hook:"), sdk(token=token(fresh("alice")))
    backend.answer("subscribe", {"disconnect": {"code": 4502, "reason": "out"}})
    client.connect()
    client.do("subscribe", channel=channel)
    assert client.take("disconnected")["code"] == 4502


def test_a_subscribe_hook_that_fails_is_asked_again(sdk, hub, backend, fresh):
    channel, client = fresh("hook:"), sdk(token=token(fresh("alice")))
    backend.answer("subscribe", lambda _: 500)
    client.connect()
    client.do("subscribe", channel=channel)
    backend.asked("subscribe")
    backend.answer("subscribe", {"result": {}})
    client.take("subscribed", channel=channel)


def test_publish_is_asked_and_may_change_what_is_published(sdk, hub, backend, fresh):
    user, channel = fresh("alice"), fresh("hook:")
    backend.answer("subscribe", {"result": {}})
    backend.answer("publish", {"result": {"data": {"changed": True}}})
    client = sdk(token=token(user))
    me = client.connect()["client"]
    client.subscribe(channel)
    client.do("publish", channel=channel, data={"in": 1})
    assert client.take("publication", channel=channel)["data"] == {"changed": True}
    assert backend.asked("publish") == {**common(client, me, user), "channel": channel, "data": {"in": 1}}


def test_publish_may_refuse(sdk, hub, backend, fresh):
    channel, client = fresh("hook:"), sdk(token=token(fresh("alice")))
    backend.answer("subscribe", {"result": {}})
    backend.answer("publish", {"error": {"code": 1004, "message": "mind your words"}})
    client.connect()
    client.subscribe(channel)
    with pytest.raises(Refusal) as refusal:
        client.do("publish", channel=channel, data=1)
    assert refusal.value.code == 1004


def test_sub_refresh_is_asked_when_a_subscription_expires_and_prolongs_it(every, hooked, backend, fresh):
    clients = {}
    backend.answer("subscribe", lambda _: {"result": {"expire_at": int(time.time()) + 2}})
    backend.answer("sub_refresh", lambda _: {"result": {"expire_at": int(time.time()) + 2}})
    for flavour in every:
        channel = fresh("hook:")
        client = clients[channel] = every[flavour](at=hooked, token=token(f"alice of {channel}"))
        client.id = client.connect()["client"]
        client.subscribe(channel)
    for channel, client in clients.items():
        asked = backend.asked("sub_refresh", channel=channel)
        assert asked == {**common(client, client.id, f"alice of {channel}"), "channel": channel}
    for channel, client in clients.items():
        backend.asked("sub_refresh", channel=channel)
        hooked.publish(channel, "still there")
        client.take("publication", channel=channel)
        assert len(client.waiting("subscribing", "unsubscribed")) == 1, client.flavour


def test_sub_refresh_may_let_a_subscription_expire(every, hooked, backend, fresh):
    clients = {}
    backend.answer("subscribe", lambda _: {"result": {"expire_at": int(time.time()) + 2}})
    backend.answer("sub_refresh", {"result": {"expired": True}})
    for flavour in every:
        channel = fresh("hook:")
        client = clients[channel] = every[flavour](at=hooked, token=token(fresh("alice")))
        client.connect()
        client.subscribe(channel)
        client.take("subscribing", channel=channel)
    for channel, client in clients.items():
        # 2501 makes the SDK subscribe anew, which the backend lets it.
        assert client.take("subscribing", channel=channel)["code"] == 2501, client.flavour
        client.take("subscribed", channel=channel)
