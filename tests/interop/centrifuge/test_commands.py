"""RPC, send, pings, and what a connection is told of itself."""

import threading

import pytest

from raw import Raw
from sdk import Refusal
from tokens import token


@pytest.mark.feature("rpc")
def test_a_call_is_answered_by_the_backend(sdk, hub, backend, fresh):
    backend.answer("rpc", lambda body: {"result": {"data": {"you said": body["data"]}}})
    user = fresh("alice")
    client = sdk(token=token(user))
    me = client.connect()["client"]
    assert client.do("rpc", method="hook:echo", data={"n": 1})["data"] == {"you said": {"n": 1}}
    assert backend.asked("rpc") == {
        "client": me, "transport": client.transport, "protocol": client.format, "encoding": "json", "user": user,
        "method": "hook:echo", "data": {"n": 1}}


@pytest.mark.feature("rpc")
@pytest.mark.parametrize("temporary", [False, True])
def test_an_error_of_the_backend_comes_through(sdk, hub, backend, temporary):
    backend.answer("rpc", {"error": {"code": 1000, "message": "custom error", "temporary": temporary}})
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do("rpc", method="hook:fail", data=1)
    assert refusal.value.code == 1000 and "custom error" in refusal.value.message


@pytest.mark.feature("rpc")
def test_a_backend_that_fails_is_an_internal_error(sdk, hub, backend):
    backend.answer("rpc", lambda _: 500)
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do("rpc", method="hook:fail", data=1)
    assert refusal.value.code == 100


@pytest.mark.feature("rpc")
def test_a_backend_may_end_the_connection(sdk, hub, backend):
    backend.answer("rpc", {"disconnect": {"code": 4501, "reason": "out"}})
    client = sdk()
    client.connect()
    with pytest.raises(Refusal):
        client.do("rpc", method="hook:fail", data=1)
    ended = client.take("disconnected")
    assert (ended["code"], ended["reason"]) == (4501, "out")


@pytest.mark.feature("rpc")
def test_a_method_that_nobody_answers_is_refused(sdk, hub):
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do("rpc", method="nobody", data=1)
    # In fanfare the backend gets every method, and this one of ours knows none of that name.
    assert refusal.value.code in ((1404,) if hub.name == "fanfare" else (104, 108))


@pytest.mark.feature("rpc")
def test_calls_at_once_are_answered_each_with_its_own(sdk, hub, backend):
    backend.answer("rpc", lambda body: {"result": {"data": body["data"]}})
    client = sdk()
    client.connect()
    got = {}

    def call(number):
        got[number] = client.do("rpc", method="hook:echo", data={"number": number})["data"]
    calls = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for one in calls:
        one.start()
    for one in calls:
        one.join()
    assert got == {number: {"number": number} for number in range(20)}


@pytest.mark.feature("send")
def test_a_message_that_nobody_takes_ends_it_with_3508(sdk):
    client = sdk()
    client.connect()
    client.do("send", data={"hello": 1})
    assert client.take("disconnected")["code"] == 3508


@pytest.mark.feature("ping")
def test_pings_are_answered_and_the_connection_lives(every, strict, fresh):
    channel = fresh("chat")
    clients = [every[flavour](at=strict, token=token(fresh("alice"))) for flavour in every]
    for client in clients:
        client.connect()
        client.subscribe(channel)
    # Pings come each second, and who has not answered is closed 700 ms later. A socket that does not answer marks the time:
    # when the second of it is closed, each of the clients has had several.
    for _ in range(2):
        with Raw(strict) as silent:
            silent.connect(token=token(fresh("silent")))
            assert silent.closed().code == 3012
    strict.publish(channel, "still there")
    for client in clients:
        client.take("publication", channel=channel)
        assert len(client.waiting("connecting", "disconnected", "subscribing")) == 1, client.flavour
