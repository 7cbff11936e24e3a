"""History that clients read."""

import pytest

from sdk import Refusal

pytestmark = pytest.mark.feature("history")


@pytest.fixture
def kept(sdk, hub, fresh):
    """A client, a channel with five publications, and its epoch."""
    channel, client = fresh("hh:"), sdk()
    for number in range(1, 6):
        epoch = hub.publish(channel, {"n": number}, tags={"n": str(number)})["epoch"]
    client.connect()
    return client, channel, epoch


def offsets(answer):
    return [one["offset"] for one in answer["publications"]]


def test_without_a_limit_only_the_position_is_told(kept):
    client, channel, epoch = kept
    answer = client.do("history", channel=channel)
    assert (answer["publications"], answer["offset"], answer["epoch"]) == ([], 5, epoch)


def test_a_limit_of_minus_one_gives_all_in_order_with_data_and_tags(kept):
    client, channel, epoch = kept
    answer = client.do("history", channel=channel, limit=-1)
    assert [(one["offset"], one["data"], one["tags"]) for one in answer["publications"]] \
        == [(number, {"n": number}, {"n": str(number)}) for number in range(1, 6)]
    assert (answer["offset"], answer["epoch"]) == (5, epoch)


@pytest.mark.parametrize("since, limit, reverse, wanted", [
    (None, 2, False, [1, 2]),
    (None, 100, False, [1, 2, 3, 4, 5]),
    (None, 2, True, [5, 4]),
    (None, -1, True, [5, 4, 3, 2, 1]),
    (2, -1, False, [3, 4, 5]),
    (2, 1, False, [3]),
    (0, 2, False, [1, 2]),
    (5, -1, False, []),
    (4, 2, True, [3, 2]),
    (1, -1, True, []),
])
def test_a_part_is_read_from_a_position_up_or_down(kept, since, limit, reverse, wanted):
    client, channel, epoch = kept
    position = {} if since is None else {"since": {"offset": since, "epoch": epoch}}
    answer = client.do("history", channel=channel, limit=limit, reverse=reverse, **position)
    assert offsets(answer) == wanted
    assert (answer["offset"], answer["epoch"]) == (5, epoch)


def test_a_position_of_another_epoch_is_refused_with_112(kept):
    client, channel, _ = kept
    with pytest.raises(Refusal) as refusal:
        client.do("history", channel=channel, limit=-1, since={"offset": 2, "epoch": "another"})
    assert refusal.value.code == 112


def test_a_position_without_an_epoch_is_not_checked(kept):
    client, channel, _ = kept
    assert offsets(client.do("history", channel=channel, limit=-1, since={"offset": 2, "epoch": ""})) == [3, 4, 5]


def test_only_so_many_are_kept_and_their_offsets_stay(sdk, hub, fresh):
    channel, client = fresh("short:"), sdk()
    client.connect()
    client.subscribe(channel)
    for number in range(1, 8):
        hub.publish(channel, number)
    assert offsets(client.do("history", channel=channel, limit=-1)) == [5, 6, 7]


def test_a_channel_where_nothing_happened_has_an_epoch_and_no_offset(sdk, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    first = client.do("history", channel=channel, limit=-1)
    assert (first["publications"], first["offset"]) == ([], 0)
    assert first["epoch"]
    assert client.do("history", channel=channel)["epoch"] == first["epoch"]


def test_the_publisher_is_kept_with_the_publication(sdk, fresh):
    channel, client = fresh("hh:"), sdk()
    me = client.connect()["client"]
    client.do("publish", channel=channel, data=1)
    (kept,) = client.do("history", channel=channel, limit=1)["publications"]
    assert kept["info"]["client"] == me


@pytest.mark.parametrize("channel, code", [("chat-without-history", 108), ("nosuchnamespace:x", 102), ("short:x", 103)])
def test_a_history_that_may_not_be_read_says_why(sdk, channel, code):
    client = sdk()
    client.connect()
    with pytest.raises(Refusal) as refusal:
        client.do("history", channel=channel, limit=1)
    assert refusal.value.code == code


def test_who_subscribed_may_read_where_subscribers_may(sdk, hub, fresh):
    channel, client = fresh("short:"), sdk()
    hub.publish(channel, 1)
    client.connect()
    client.subscribe(channel)
    assert offsets(client.do("history", channel=channel, limit=-1)) == [1]
