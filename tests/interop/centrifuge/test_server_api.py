"""The server API: by `cent`, the official SDK, and by hand for what it does not send."""

import json

import cent
import pytest

from raw import Raw
from target import API_KEY, eventually
from tokens import token

pytestmark = pytest.mark.feature("server api")


@pytest.fixture
def api(hub):
    with cent.Client(f"{hub.base}/api", API_KEY) as client:
        yield client


@pytest.fixture
def alice(hub, fresh):
    """A connected user, by hand; `name` is the user, `client` its id."""
    with Raw(hub) as raw:
        raw.name = fresh("alice")
        raw.id = raw.connect(token=token(raw.name, info={"n": 1}))["client"]
        yield raw


def refused(call):
    with pytest.raises(cent.CentApiResponseError) as refusal:
        call()
    return refusal.value.code


def test_publish_gives_the_position(api, alice, fresh):
    channel = fresh("hh:")
    alice.ask(2, subscribe={"channel": channel})
    first = api.publish(cent.PublishRequest(channel=channel, data={"i": 1}, tags={"k": "v"}))
    second = api.publish(cent.PublishRequest(channel=channel, data={"i": 2}))
    assert (first.offset, second.offset) == (1, 2) and first.epoch == second.epoch
    publication = alice.next()["push"]["pub"]
    assert (publication["data"], publication["tags"], publication["offset"]) == ({"i": 1}, {"k": "v"}, 1)
    without = api.publish(cent.PublishRequest(channel=fresh("plain"), data=1))
    assert (without.offset, without.epoch) == (0, "")


def test_publish_refuses_what_is_wrong(api, fresh):
    assert refused(lambda: api.publish(cent.PublishRequest(channel="nosuchnamespace:x", data=1))) == 102
    assert refused(lambda: api.publish(cent.PublishRequest(channel="", data=1))) == 107


def test_an_idempotency_key_publishes_once(api, fresh):
    channel = fresh("hh:")
    request = cent.PublishRequest(channel=channel, data=1, idempotency_key=fresh("key"))
    assert [api.publish(request).offset for _ in range(3)] == [1, 1, 1]
    assert api.history(cent.HistoryRequest(channel=channel)).offset == 1


def test_history_may_be_passed_by(api, alice, fresh):
    channel = fresh("hh:")
    alice.ask(2, subscribe={"channel": channel})
    result = api.publish(cent.PublishRequest(channel=channel, data="by", skip_history=True))
    assert result.offset == 0
    assert "offset" not in alice.next()["push"]["pub"]
    assert api.history(cent.HistoryRequest(channel=channel, limit=10)).publications == []


def test_bytes_may_be_published(hub, alice, fresh):
    channel = fresh("hh:")
    alice.ask(2, subscribe={"channel": channel})
    hub.api("publish", channel=channel, b64data="eyJiNjQiOjF9")
    assert alice.next()["push"]["pub"]["data"] == {"b64": 1}


def test_a_version_that_is_not_newer_is_not_published(hub, fresh):
    channel = fresh("hh:")
    results = [hub.publish(channel, version, version=version) for version in [5, 4, 5, 6]]
    assert [result["offset"] for result in results] == [1, 1, 1, 2]
    kept = hub.api("history", channel=channel, limit=10)["publications"]
    assert [one["data"] for one in kept] == [5, 6]
    # Another epoch of the versions begins anew.
    assert hub.publish(channel, "anew", version=1, version_epoch="other")["offset"] == 3


def test_broadcast_answers_for_each_channel_in_order(api, alice, fresh):
    plain, kept = fresh("plain"), fresh("hh:")
    for number, channel in enumerate([plain, kept]):
        alice.ask(number + 2, subscribe={"channel": channel})
    result = api.broadcast(cent.BroadcastRequest(channels=[plain, kept, "nosuchnamespace:x"], data={"b": 1}))
    first, second, third = result.responses
    assert first.error is None and first.result.offset == 0
    assert second.result.offset == 1 and second.result.epoch
    assert third.error.code == 102
    assert {alice.next()["push"]["channel"] for _ in range(2)} == {plain, kept}


def test_subscribe_and_unsubscribe(api, alice, fresh):
    channel = fresh("hh:")
    api.subscribe(cent.SubscribeRequest(user=alice.name, channel=channel, data={"x": 1}))
    push = alice.next()["push"]
    assert push["channel"] == channel and push["subscribe"]["data"] == {"x": 1} and push["subscribe"]["recoverable"]
    api.publish(cent.PublishRequest(channel=channel, data=1))
    assert alice.next()["push"]["pub"]["data"] == 1
    api.unsubscribe(cent.UnsubscribeRequest(user=alice.name, channel=channel))
    assert alice.next() == {"push": {"channel": channel, "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}


def test_what_concerns_nobody_is_no_error(api, fresh):
    nobody = fresh("nobody")
    api.subscribe(cent.SubscribeRequest(user=nobody, channel="news"))
    api.unsubscribe(cent.UnsubscribeRequest(user=nobody, channel="news"))
    api.disconnect(cent.DisconnectRequest(user=nobody))
    api.refresh(cent.RefreshRequest(user=nobody))


def test_disconnect_with_a_code(api, alice):
    api.disconnect(cent.DisconnectRequest(user=alice.name, disconnect=cent.Disconnect(code=4321, reason="bye")))
    ended = alice.closed()
    assert (ended.code, ended.reason) == (4321, "bye")


def test_refresh_lets_expire(api, alice):
    api.refresh(cent.RefreshRequest(user=alice.name, expired=True))
    assert alice.closed().code == 3005


def test_presence_and_its_statistics(api, alice, fresh):
    channel = fresh("pp:")
    assert api.presence(cent.PresenceRequest(channel=channel)).presence == {}
    alice.ask(2, subscribe={"channel": channel})
    (present,) = api.presence(cent.PresenceRequest(channel=channel)).presence.values()
    assert (present.user, present.client, present.conn_info) == (alice.name, alice.id, {"n": 1})
    stats = api.presence_stats(cent.PresenceStatsRequest(channel=channel))
    assert (stats.num_clients, stats.num_users) == (1, 1)
    assert refused(lambda: api.presence(cent.PresenceRequest(channel="plain"))) == 108
    assert refused(lambda: api.presence_stats(cent.PresenceStatsRequest(channel="plain"))) == 108


def test_history_and_its_removal(api, fresh):
    channel = fresh("hh:")
    for number in range(1, 6):
        epoch = api.publish(cent.PublishRequest(channel=channel, data={"n": number})).epoch
    read = lambda **more: [one.offset for one in api.history(  # noqa: E731
        cent.HistoryRequest(channel=channel, **more)).publications]
    since = cent.StreamPosition(offset=2, epoch=epoch)
    assert read() == [] and read(limit=2) == [1, 2] and read(limit=-1) == [1, 2, 3, 4, 5]
    assert read(limit=2, reverse=True) == [5, 4] and read(limit=-1, since=since) == [3, 4, 5]
    assert read(limit=10, since=since, reverse=True) == [1]
    other = cent.StreamPosition(offset=2, epoch="another")
    assert refused(lambda: api.history(cent.HistoryRequest(channel=channel, limit=1, since=other))) == 112
    assert refused(lambda: api.history(cent.HistoryRequest(channel="plain", limit=1))) == 108
    api.history_remove(cent.HistoryRemoveRequest(channel=channel))
    assert read(limit=-1) == []
    # The numbering goes on: a position from before is known to be one of a gap.
    after = api.publish(cent.PublishRequest(channel=channel, data=1))
    assert (after.offset, after.epoch) == (6, epoch)


def test_channels_lists_those_with_subscribers(api, alice, fresh):
    stem = fresh("listed")
    for number in range(3):
        alice.ask(number + 2, subscribe={"channel": f"{stem}-{number}"})
    channels = api.channels(cent.ChannelsRequest(pattern=f"{stem}-*")).channels
    assert {name: one.num_clients for name, one in channels.items()} == {f"{stem}-{number}": 1 for number in range(3)}
    assert f"{stem}-1" in api.channels(cent.ChannelsRequest()).channels


def test_info_tells_of_the_node(api, alice):
    (node,) = api.info(cent.InfoRequest()).nodes
    assert node.uid and node.name and node.version and node.uptime >= 0
    # Counts are brought up to date every few seconds.
    eventually(lambda: all((one.num_clients, one.num_users) >= (1, 1) for one in api.info(cent.InfoRequest()).nodes),
               lambda: "the client is counted")


def test_batch_answers_for_each_in_order(api, fresh):
    channel = fresh("hh:")
    requests = [
        cent.PublishRequest(channel=channel, data=1), cent.PublishRequest(channel=channel, data=2),
        cent.BroadcastRequest(channels=[channel, fresh("plain")], data=3), cent.HistoryRequest(channel=channel, limit=-1),
        cent.PresenceStatsRequest(channel=fresh("pp:")),
    ]
    first, second, third, history, stats = api.batch(cent.BatchRequest(requests=requests)).replies
    assert (first.offset, second.offset, third.responses[0].result.offset) == (1, 2, 3)
    assert [one.data for one in history.publications] == [1, 2, 3] and stats.num_clients == 0


def test_an_error_in_a_batch_stands_in_its_place(hub, fresh):
    channel = fresh("hh:")
    commands = [{"publish": {"channel": channel, "data": 1}}, {"publish": {"channel": "nosuchnamespace:x", "data": 1}},
                {"history": {"channel": channel}}]
    for parallel in [False, True]:
        answer = hub.post("/api/batch", {"commands": commands[:2] if parallel else commands, "parallel": parallel}).json()
        replies = answer["replies"]
        assert replies[0]["publish"]["offset"] and replies[1]["error"]["code"] == 102
    assert replies[0]["publish"]["offset"] == 2


def test_a_method_of_the_application_that_nobody_answers(hub):
    answer = hub.post("/api/rpc", {"method": "nosuch", "params": {}})
    assert answer.status == 200 and answer.json()["error"]["code"] in (104, 108)


@pytest.mark.parametrize("headers, query, status", [
    ({"X-API-Key": API_KEY}, "", 200), ({"Authorization": f"apikey {API_KEY}"}, "", 200), ({}, f"?api_key={API_KEY}", 200),
    ({}, "", 401), ({"X-API-Key": "wrong"}, "", 401), ({"Authorization": "apikey wrong"}, "", 401), ({}, "?api_key=wrong", 401),
])
def test_the_key_comes_in_three_ways(hub, headers, query, status):
    answer = hub.request("POST", f"/api/info{query}", "{}", headers)
    assert answer.status == status
    assert status == 200 or answer.body == b""


@pytest.mark.parametrize("path, body, status", [
    ("/api/publish", "garbage", 400), ("/api/nosuch", "{}", 404), ("/api/publish", "[]", 400),
])
def test_what_is_no_request_has_a_status(hub, path, body, status):
    assert hub.post(path, body).status == status


def test_what_is_missing_or_null(hub, fresh):
    channel = fresh("hh:")
    assert hub.post("/api/publish", {"channel": channel}).json() == {"error": {"code": 107, "message": "bad request"}}
    assert hub.post("/api/publish", {"data": 1}).json()["error"]["code"] == 107
    assert hub.post("/api/disconnect", {}).status == 200


def test_results_have_no_fields_that_say_nothing(hub, fresh):
    assert hub.post("/api/publish", {"channel": fresh("plain"), "data": 1}).json() == {"result": {}}
    assert hub.post("/api/presence", {"channel": fresh("pp:")}).json() == {"result": {"presence": {}}}
    assert hub.post("/api/presence_stats", {"channel": fresh("pp:")}).json() \
        == {"result": {"num_clients": 0, "num_users": 0}}
    history = hub.post("/api/history", {"channel": fresh("hh:"), "limit": 1}).json()["result"]
    assert history == {"publications": [], "epoch": history["epoch"], "offset": 0}


@pytest.mark.parametrize("method, params, status, code", [
    ("publish", {"channel": "nosuchnamespace:x", "data": 1}, 404, 102),
    ("publish", {"channel": "", "data": 1}, 400, 107),
    ("history", {"channel": "plain", "limit": 1}, 400, 108),
    ("history", {"channel": "hh:x", "limit": 1, "since": {"offset": 1, "epoch": "x"}}, 416, 112),
])
def test_errors_are_statuses_for_who_asks(hub, method, params, status, code):
    answer = hub.post(f"/api/{method}", params, {"X-Centrifugo-Error-Mode": "transport"})
    assert answer.status == status
    assert answer.json()["code"] == code and answer.json()["message"]


def test_the_old_style_still_works(hub, fresh):
    channel = fresh("hh:")
    command = {"method": "publish", "params": {"channel": channel, "data": 1}}
    assert hub.post("/api", command).json()["result"]["offset"] == 1
    answer = hub.post("/api", "\n".join(json.dumps(one) for one in [command, {"method": "history", "params": {
        "channel": channel, "limit": 10}}]))
    replies = [json.loads(line) for line in answer.body.decode().strip().split("\n")]
    assert replies[0]["result"]["offset"] == 2
    assert [one["offset"] for one in replies[1]["result"]["publications"]] == [1, 2]


def test_the_old_style_refuses_in_the_body(hub):
    assert hub.post("/api", {"method": "publish", "params": {"channel": "nosuchnamespace:x", "data": 1}}).json() \
        ["error"]["code"] == 102
