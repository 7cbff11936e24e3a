"""What no SDK sends, and how the hub ends or answers it."""

import json
import socket
import time

import pytest
import websocket

from raw import Closed, Raw
from target import SOON, Target, eventually
from tokens import token

pytestmark = pytest.mark.feature("protocol violations")

ZZ = {"channel": "zz"}


@pytest.fixture
def raw(hub):
    with Raw(hub) as raw:
        yield raw


@pytest.fixture
def connected(raw):
    assert raw.connect()["client"]
    return raw


@pytest.mark.parametrize("frame", [
    "", "garbage", "[]", "1", '"x"', "null", '{"id":2,', '{"id":2}', '{"id":2,"nosuch":{}}', '{"id":2,"subscribe":"zz"}',
    '{"subscribe":{"channel":"zz"}}', '{"id":0,"subscribe":{"channel":"zz"}}', '{"id":-1,"subscribe":{"channel":"zz"}}',
    '{"id":"2","subscribe":{"channel":"zz"}}', '{"id":4294967296,"subscribe":{"channel":"zz"}}',
    '{"id":1.5,"subscribe":{"channel":"zz"}}', '{"id":2,"ping":{}}', '{"id":2,"connect":{}}',
    # A pong that nobody asked for.
    "{}",
    '{"id":2,"subscribe":{}}', '{"id":2,"subscribe":{"channel":""}}', '{"id":2,"publish":{"channel":"","data":1}}',
    '{"id":2,"unsubscribe":{"channel":""}}', '{"id":2,"history":{"channel":""}}', '{"id":2,"presence":{"channel":""}}',
    '{"id":2,"presence_stats":{"channel":""}}', '{"id":2,"refresh":{}}', '{"id":2,"subscribe":{"channel":"hh:x","delta":"nosuch"}}',
    "\n", '{"id":2,"history":{"channel":"hh:x","limit":1}}\n\n{"id":3,"history":{"channel":"hh:x","limit":1}}',
    b"\xff\xfe",
], ids=lambda frame: repr(frame)[:60])
def test_what_is_no_command_ends_it_with_3501(connected, frame):
    connected.send(frame)
    ended = connected.closed()
    assert (ended.code, ended.reason) == (3501, "bad request")


@pytest.mark.parametrize("frame", ["garbage", "{}", '{"id":1,"subscribe":{"channel":"zz"}}', '{"connect":{}}'])
def test_before_connect_nothing_else_is_taken(raw, frame):
    raw.send(frame)
    assert raw.closed().code == 3501


def test_what_stood_before_the_garbage_is_answered(connected):
    connected.send('{"id":2,"subscribe":{"channel":"zz"}}\ngarbage')
    assert connected.next() == {"id": 2, "subscribe": {}}
    assert connected.closed().code == 3501


def test_of_two_methods_the_first_of_the_fixed_order_is_taken(connected, hub, fresh):
    channel = fresh("zz")
    connected.send({"id": 2, "publish": {"channel": channel, "data": 1}, "subscribe": {"channel": channel}})
    assert connected.next() == {"id": 2, "subscribe": {}}
    hub.publish(channel, "not 1")
    assert connected.next()["push"]["pub"]["data"] == "not 1"


def test_fields_that_nobody_knows_are_passed_over(connected):
    assert connected.ask(2, subscribe={"channel": "zz", "nosuch": [1]}) == {}
    connected.send({"id": 3, "nosuch": {}, "unsubscribe": ZZ})
    assert connected.next() == {"id": 3, "unsubscribe": {}}


def test_ids_are_the_clients_business(connected):
    for id in [4294967295, 7, 7]:
        assert connected.ask(id, unsubscribe=ZZ) == {}


def test_several_commands_of_the_first_frame_are_all_answered_in_order(raw):
    raw.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"x1"}}\n{"id":3,"subscribe":{"channel":"hh:x2"}}\n'
             '{"id":4,"subscribe":{"channel":"token:x"}}')
    connect, plain, kept, refused = [raw.next() for _ in range(4)]
    assert connect["id"] == 1 and connect["connect"]["client"]
    assert plain == {"id": 2, "subscribe": {}}
    assert kept["id"] == 3 and kept["subscribe"]["recoverable"] is True
    assert refused == {"id": 4, "error": {"code": 103, "message": "permission denied"}}


def test_json_in_a_binary_frame_is_taken(connected):
    connected.send(json.dumps({"id": 2, "unsubscribe": ZZ}).encode())
    assert connected.next() == {"id": 2, "unsubscribe": {}}


def test_the_subprotocol_of_json_is_accepted(hub):
    with Raw(hub, subprotocols=["centrifuge-json"]) as raw:
        assert raw.connect()["client"]


def test_the_result_of_connect_says_how_often_pings_come(hub):
    with Raw(hub) as raw:
        result = raw.connect()
    assert (result["ping"], result["pong"]) == (25, True)
    assert not {"expires", "ttl", "subs", "data", "session", "node"} & set(result)


def test_a_bad_token_is_answered_by_the_close_alone(raw):
    raw.send({"id": 1, "connect": {"token": "garbage"}})
    with pytest.raises(Closed) as closed:
        raw.next()
    assert (closed.value.code, closed.value.reason) == (3500, "invalid token")


def test_an_expired_token_is_answered_by_error_109_and_the_connection_is_of_no_use(raw):
    raw.send({"id": 1, "connect": {"token": token("alice", expires_in=-10)}})
    assert raw.next() == {"id": 1, "error": {"code": 109, "message": "token expired"}}
    raw.send({"id": 2, "subscribe": ZZ})
    assert raw.closed().code in (3501, None)


@pytest.mark.parametrize("claims, code", [
    ({"sub": 42}, 3500), ({"channels": "no list"}, 3500),
    ({"exp": "tomorrow"}, 3500),
])
def test_claims_that_do_not_hold_are_a_bad_token(raw, claims, code):
    raw.send({"id": 1, "connect": {"token": token(**{"sub": "alice", **claims})}})
    assert raw.closed().code == code


def test_a_token_that_is_not_valid_yet_is_answered_like_an_expired_one(raw):
    raw.send({"id": 1, "connect": {"token": token("alice", nbf=4102444800)}})
    assert raw.next()["error"]["code"] == 109


def test_a_token_that_was_not_signed_is_a_bad_one(raw):
    raw.send({"id": 1, "connect": {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."}})
    assert raw.closed().code == 3500


def test_expire_at_says_when_the_connection_expires_and_zero_never(hub):
    until = int(time.time()) + 600
    with Raw(hub) as raw:
        result = raw.connect(token=token("alice", expires_in=60, expire_at=until))
    assert result["expires"] is True and 590 < result["ttl"] <= 600
    with Raw(hub) as raw:
        assert "ttl" not in raw.connect(token=token("alice", expires_in=60, expire_at=0))


def test_a_refresh_of_another_user_or_a_bad_one_ends_it_with_3500_an_expired_one_with_3005(hub):
    for refresh, code in [(token("bob"), 3500), ("garbage", 3500), (token("alice", expires_in=-10), 3005)]:
        with Raw(hub) as raw:
            raw.connect(token=token("alice", expires_in=600))
            raw.send({"id": 2, "refresh": {"token": refresh}})
            assert raw.closed().code == code, refresh


def test_a_refresh_is_answered_with_the_new_time(hub):
    with Raw(hub) as raw:
        raw.connect(token=token("alice", expires_in=60))
        answer = raw.ask(2, refresh={"token": token("alice", expires_in=600)})
    assert answer["expires"] is True and 590 < answer["ttl"] <= 600


def test_the_api_refreshes_with_a_push(hub, fresh):
    user = fresh("alice")
    with Raw(hub) as raw:
        raw.connect(token=token(user, expires_in=60))
        hub.api("refresh", user=user, expire_at=int(time.time()) + 600)
        refresh = raw.next()["push"]["refresh"]
    assert refresh["expires"] is True and 590 < refresh["ttl"] <= 600


def test_unsubscribing_from_where_one_is_not_is_answered(connected):
    assert connected.ask(2, unsubscribe={"channel": "never"}) == {}


def test_subscribing_twice_is_refused_with_105(connected):
    connected.ask(2, subscribe=ZZ)
    assert connected.ask(3, subscribe=ZZ) == {"error": {"code": 105, "message": "already subscribed"}}


def test_the_publisher_gets_its_publication_before_the_answer(connected, fresh):
    channel = fresh("zz")
    connected.ask(2, subscribe={"channel": channel})
    connected.send({"id": 3, "publish": {"channel": channel, "data": {"a": 1}}})
    push, reply = connected.next(), connected.next()
    assert push["push"]["channel"] == channel and push["push"]["pub"]["data"] == {"a": 1}
    assert reply == {"id": 3, "publish": {}}


def test_data_that_is_missing_is_refused_and_null_is_data(connected, fresh):
    channel = fresh("hh:")
    connected.ask(2, subscribe={"channel": channel})
    assert connected.ask(3, publish={"channel": channel})["error"]["code"] == 107
    assert connected.ask(4, publish={"channel": channel, "data": None}) == {}
    publication = connected.next()["push"]["pub"]
    assert publication["data"] is None and publication["offset"] == 1


def test_numbers_of_any_size_and_the_order_of_keys_stay_as_they_are(connected, hub, fresh):
    channel = fresh("hh:")
    connected.ask(2, subscribe={"channel": channel})
    data = '{"z":123456789012345678901234567890,"a":1.00000000000000000001,"z":1e400,"\\u00e9":"\\u00e9\\/"}'
    connected.send('{"id":3,"publish":{"channel":"%s","data":%s}}' % (channel, data))
    assert f'"data":{data}' in connected.text()
    assert connected.next() == {"id": 3, "publish": {}}
    connected.send({"id": 4, "history": {"channel": channel, "limit": 1}})
    assert f'"data":{data}' in connected.text()


@pytest.mark.feature("limits")
def test_a_message_over_64_kib_ends_it_with_1009(connected):
    connected.send({"id": 2, "unsubscribe": {"channel": "x" * 65_000}})
    assert connected.next()["id"] == 2
    connected.announce(66_000)
    assert connected.closed().code == 1009


@pytest.mark.feature("limits")
def test_a_channel_name_has_at_most_255_bytes(connected):
    assert connected.ask(2, subscribe={"channel": "c" * 255}) == {}
    for number, long in enumerate(["c" * 256, "ü" * 128]):
        assert connected.ask(3 + number, subscribe={"channel": long})["error"]["code"] == 107


@pytest.mark.feature("limits")
def test_the_129th_subscription_is_refused_with_106_and_possible_after_another_ends(connected):
    for number in range(128):
        assert connected.ask(number + 2, subscribe={"channel": f"c{number}"}) == {}
    assert connected.ask(200, subscribe={"channel": "more"}) == {"error": {"code": 106, "message": "limit exceeded"}}
    connected.ask(201, unsubscribe={"channel": "c0"})
    assert connected.ask(202, subscribe={"channel": "more"}) == {}


@pytest.mark.feature("recovery")
def test_the_answer_to_a_recovery_is_the_protocols(connected, hub, fresh):
    channel = fresh("hh:")
    for number in [1, 2, 3]:
        epoch = hub.publish(channel, {"i": number}, tags={"k": "v"})["epoch"]
    ask = iter(range(2, 100))

    def recover(**position):
        answer = connected.ask(next(ask), subscribe={"channel": channel, "recover": True, **position})
        connected.ask(next(ask), unsubscribe={"channel": channel})
        return answer
    granted = {"recoverable": True, "positioned": True, "epoch": epoch}
    back = {**granted, "was_recovering": True}
    # The offset is the one that was asked for: the SDK counts on from it.
    assert recover(offset=1, epoch=epoch) == {**back, "recovered": True, "offset": 1, "publications": [
        {"data": {"i": number}, "offset": number, "tags": {"k": "v"}} for number in [2, 3]]}
    assert recover(offset=3, epoch=epoch) == {**back, "recovered": True, "offset": 3}
    for position in [{"offset": 1, "epoch": "another"}, {"offset": 9, "epoch": epoch}]:
        assert recover(**position) == {**back, "offset": 3}, position
    whole = recover(epoch=epoch)
    assert whole["recovered"] and [one["offset"] for one in whole["publications"]] == [1, 2, 3] and "offset" not in whole
    assert recover(offset=1, epoch="")["recovered"]
    assert recover(offset=9, epoch=epoch, flag=2) == {"error": {"code": 112, "message": "unrecoverable position"}}


@pytest.mark.feature("cache recovery")
def test_a_cache_gives_the_newest_to_whoever_asks_without_a_position(connected, hub, fresh):
    channel = fresh("cache:")
    empty = connected.ask(2, subscribe={"channel": channel, "recover": True})
    assert empty["was_recovering"] and not empty.get("recovered") and "publications" not in empty
    connected.ask(3, unsubscribe={"channel": channel})
    for number in [1, 2, 3]:
        hub.publish(channel, number)
    answer = connected.ask(4, subscribe={"channel": channel, "recover": True})
    assert answer["recovered"] and [one["data"] for one in answer["publications"]] == [3]


@pytest.mark.feature("tags filter")
@pytest.mark.parametrize("filter", [
    {"key": "a", "cmp": "nosuch", "val": "x"}, {"op": "nosuch", "nodes": []}, {"op": "not", "nodes": []},
    {"key": "", "cmp": "eq", "val": "x"},
])
def test_a_filter_that_is_none_is_refused_with_107(connected, fresh, filter):
    assert connected.ask(2, subscribe={"channel": fresh("tags:"), "tf": filter})["error"]["code"] == 107


@pytest.mark.feature("subscription refresh")
def test_the_answers_about_a_subscriptions_time_are_the_protocols(hub, fresh):
    channel = fresh("token:")
    with Raw(hub) as raw:
        raw.connect(token=token("alice"))
        granted = raw.ask(2, subscribe={"channel": channel, "token": token("alice", channel=channel, expires_in=60)})
        assert granted["expires"] is True and 50 < granted["ttl"] <= 60
        again = raw.ask(3, sub_refresh={"channel": channel, "token": token("alice", channel=channel, expires_in=600)})
        assert again["expires"] is True and 590 < again["ttl"] <= 600
        assert raw.ask(4, sub_refresh={"channel": "elsewhere", "token": "x"})["error"]["code"] == 103
        raw.send({"id": 5, "sub_refresh": {"channel": channel, "token": token("bob", channel=channel)}})
        assert raw.closed().code == 3500


@pytest.mark.feature("connect")
@pytest.mark.parametrize("origin, status", [("http://evil.example", 403), (None, 101)])
def test_pages_of_other_origins_are_refused(hub, origin, status):
    try:
        page = websocket.create_connection(
            hub.ws(), timeout=SOON, origin=origin, suppress_origin=origin is None)
        page.shutdown()
        got = 101
    except websocket.WebSocketBadStatusException as refusal:
        got = refusal.status_code
    assert got == status


def test_what_is_no_websocket_is_refused(hub):
    assert hub.request("GET", "/connection/websocket").status in (400, 426)


@pytest.mark.feature("ping")
def test_pings_come_on_schedule_however_busy_the_connection_is(strict, fresh):
    # centrifuge-python counts pings alone as a sign of life.
    channel = fresh("chat")
    with Raw(strict) as raw:
        assert raw.connect(token=token(fresh("alice")))["ping"] == 1
        raw.ask(2, subscribe={"channel": channel})
        pings, number = [time.monotonic()], 0
        while len(pings) < 5:
            strict.publish(channel, number)
            number += 1
            while (line := raw.line()) == {}:
                pings.append(time.monotonic())
                raw.send({})
            assert "pub" in line["push"]
        gaps = [after - before for before, after in zip(pings, pings[1:])]
    # The first comes after half an interval to a whole one; a busy machine makes any of them late.
    assert 0.3 < gaps[0] < 2 and all(0.5 < gap < 2 for gap in gaps[1:]), gaps


@pytest.mark.feature("ping")
def test_who_does_not_answer_a_ping_is_closed_with_3012(strict, fresh):
    with Raw(strict) as raw:
        raw.connect(token=token(fresh("alice")))
        assert raw.line() == {}
        # Other traffic is no pong.
        raw.send({"id": 2, "unsubscribe": ZZ})
        ended = raw.closed()
        assert (ended.code, ended.reason) == (3012, "no pong")


@pytest.mark.feature("ping")
def test_pings_of_the_websocket_itself_can_be_asked_for_instead(hub):
    with Raw(hub, "/connection/websocket?cf_ws_frame_ping_pong=true") as raw:
        result = raw.connect()
        assert "ping" not in result and "pong" not in result


@pytest.mark.feature("connection limits")
def test_who_does_not_connect_in_time_is_closed_with_3502(strict):
    with Raw(strict) as raw:
        ended = raw.closed()
        assert (ended.code, ended.reason) == (3502, "stale")


@pytest.mark.feature("connection refresh")
def test_who_does_not_refresh_in_time_is_closed_with_3005(strict, fresh):
    with Raw(strict) as raw:
        raw.connect(token=token(fresh("alice"), expires_in=2))
        while True:
            try:
                if raw.line() == {}:
                    raw.send({})
            except Closed as ended:
                assert (ended.code, ended.reason) == (3005, "connection expired")
                return


@pytest.mark.feature("subscription refresh")
def test_who_does_not_refresh_a_subscription_in_time_is_unsubscribed_with_2501(strict, fresh):
    channel, alice = fresh("token:"), fresh("alice")
    with Raw(strict) as raw:
        raw.connect(token=token(alice))
        raw.ask(2, subscribe={"channel": channel, "token": token(alice, channel=channel, expires_in=2)})
        push = raw.next()["push"]
        assert push == {"channel": channel, "unsubscribe": {"code": 2501, "reason": "subscription expired"}}


@pytest.mark.feature("disconnect")
def test_a_hub_that_ends_closes_with_3001(request, tmp_path, backend):
    hub = Target(request.config.getoption("--target")).start("open", tmp_path, backend.base)
    try:
        with Raw(hub) as raw:
            raw.connect()
            hub.terminate()
            ended = raw.closed()
        assert (ended.code, ended.reason) == (3001, "shutdown")
    finally:
        hub.stop(terminated=True)


@pytest.mark.feature("disconnect")
def test_a_token_with_too_many_channels_ends_it_with_3505(raw):
    raw.send({"id": 1, "connect": {"token": token("", channels=[f"c{number}" for number in range(129)])}})
    ended = raw.closed()
    assert (ended.code, ended.reason) == (3505, "channel limit")


@pytest.mark.feature("disconnect")
def test_a_subscription_of_the_server_that_expires_ends_it_with_3006(strict, fresh):
    user = fresh("alice")
    with Raw(strict) as raw:
        raw.connect(token=token(user))
        strict.api("subscribe", user=user, channel=fresh("news"), expire_at=int(time.time()) + 2)
        with pytest.raises(Closed) as closed:
            while "push" in raw.next():
                pass
        assert (closed.value.code, closed.value.reason) == (3006, "subscription expired")


@pytest.mark.feature("disconnect")
def test_who_does_not_read_is_given_up(strict, fresh):
    channel, user = fresh("chat"), fresh("slow")
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    with Raw(strict, sockopt=small) as raw:
        raw.connect(token=token(user))
        raw.ask(2, subscribe={"channel": channel})
        # More than a queue and what the kernel takes; the close frame stands behind all that, and may be lost.
        gone = lambda: not strict.api("channels", pattern=channel)["channels"]  # noqa: E731
        eventually(lambda: strict.publish(channel, "x" * 500_000) is not None and gone(), lambda: "it is given up")
        assert raw.closed().code in (3008, None)


@pytest.mark.feature("connection tokens")
@pytest.mark.parametrize("claims, code", [
    ({"channels": ["nosuchnamespace:x"]}, 102), ({"subs": {"nosuchnamespace:x": {}}}, 102),
])
def test_a_token_with_a_channel_that_cannot_be_is_refused(raw, claims, code):
    raw.send({"id": 1, "connect": {"token": token("alice", **claims)}})
    assert raw.next()["error"]["code"] == code


@pytest.mark.feature("connection tokens")
def test_information_in_a_token_may_be_base64(hub, fresh):
    channel = fresh("pp:")
    with Raw(hub) as raw:
        raw.connect(token=token("alice", b64info="eyJhIjoxfQ==", subs={channel: {"b64info": "eyJiIjoyfQ=="}}))
        (present,) = hub.api("presence", channel=channel)["presence"].values()
    assert (present["conn_info"], present["chan_info"]) == ({"a": 1}, {"b": 2})
