"""Connecting: anonymous, with tokens, refused."""

import pytest

from tokens import token

pytestmark = pytest.mark.feature("connect")


def test_an_anonymous_client_connects_and_gets_an_id(sdk):
    client = sdk()
    assert client.connect()["client"]
    client.do("disconnect")
    assert client.take("disconnected")["code"] == 0


def test_two_clients_have_different_ids(sdk):
    assert sdk().connect()["client"] != sdk().connect()["client"]


@pytest.mark.feature("connection tokens")
def test_a_client_with_a_token_connects(sdk):
    assert sdk(token=token("alice")).connect()["client"]


@pytest.mark.feature("connection tokens")
def test_a_token_of_another_secret_ends_it_with_3500(sdk):
    client = sdk(token=token("alice", secret="another"))
    client.do("connect")
    ended = client.take("disconnected")
    assert (ended["code"], ended["reason"]) == (3500, "invalid token")


@pytest.mark.feature("connection tokens")
def test_a_token_that_is_none_ends_it_with_3500(sdk):
    client = sdk(token="garbage")
    client.do("connect")
    assert client.take("disconnected")["code"] == 3500


@pytest.mark.feature("connection tokens")
def test_an_expired_token_is_replaced_by_a_new_one(sdk):
    client = sdk(token=token("alice", expires_in=-10), tokens=[token("alice", expires_in=600)])
    client.do("connect")
    client.take("token-asked")
    assert client.take("connected")["client"]


@pytest.mark.feature("connection tokens")
def test_an_expired_token_without_a_new_one_is_unauthorized(sdk):
    client = sdk(token=token("alice", expires_in=-10), tokens=[])
    client.do("connect")
    client.take("token-asked")
    assert client.take("disconnected")["code"] == 1


@pytest.mark.feature("connection refresh")
def test_a_connection_is_refreshed_before_it_expires_and_lives_on(every, strict, fresh):
    clients = []
    for flavour in every:
        alice = fresh("alice")
        tokens = [token(alice, expires_in=5), token(alice)]
        clients.append(every[flavour](at=strict, token=token(alice, expires_in=2), tokens=tokens))
        clients[-1].connect()
    for client in clients:
        client.take("token-asked")
    for client in clients:
        # The second time is when the second token expires: had it not been taken, the hub would have closed before.
        client.take("token-asked")
        client.subscribe(fresh("chat"))
        assert not client.waiting("connecting", "disconnected"), client.flavour


@pytest.mark.feature("connection refresh")
def test_who_refreshes_with_an_expired_token_is_closed_with_3005_and_comes_back_with_a_new_one(every, strict, fresh):
    clients = []
    for flavour in every:
        alice = fresh("alice")
        tokens = [token(alice, expires_in=-10), token(alice)]
        clients.append(every[flavour](at=strict, token=token(alice, expires_in=2), tokens=tokens))
        clients[-1].connect()
    for client in clients:
        assert client.take("connecting")["code"] == 3005, client.flavour
        client.take("connected")


@pytest.mark.feature("connection refresh")
def test_a_refresh_for_another_user_ends_it(every, strict, fresh):
    clients = [every[flavour](at=strict, token=token(fresh("alice"), expires_in=2), tokens=[token("bob")])
               for flavour in every]
    for client in clients:
        client.connect()
    for client in clients:
        assert client.take("disconnected")["code"] == 3500, client.flavour


@pytest.mark.feature("connection tokens")
def test_without_a_token_where_one_is_needed_it_ends_with_3501(sdk, strict):
    client = sdk(at=strict)
    client.do("connect")
    assert client.take("disconnected")["code"] == 3501


@pytest.mark.feature("connection limits")
def test_one_connection_of_a_user_too_many_ends_with_3504(sdk, strict, fresh):
    alice = fresh("alice")
    for _ in range(3):
        sdk(at=strict, token=token(alice)).connect()
    fourth = sdk(at=strict, token=token(alice))
    fourth.do("connect")
    assert fourth.take("disconnected")["code"] == 3504
