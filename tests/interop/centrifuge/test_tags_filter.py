"""Publications that a subscriber asked for by their tags."""

import pytest

from cutting_proxy import away

pytestmark = pytest.mark.feature("tags filter")

EN = {"key": "lang", "cmp": "eq", "val": "en"}
TAGS = [{"lang": "en", "price": "5"}, {"lang": "fr", "price": "50"}, {"lang": "en", "price": "500"}, {}, {"price": "-1.5"}]


@pytest.mark.parametrize("filter, wanted", [
    (EN, [0, 2]),
    ({"key": "lang", "cmp": "neq", "val": "en"}, [1, 3, 4]),
    ({"key": "lang", "cmp": "in", "vals": ["fr", "de"]}, [1]),
    ({"key": "lang", "cmp": "nin", "vals": ["fr", "de"]}, [0, 2, 3, 4]),
    ({"key": "lang", "cmp": "ex"}, [0, 1, 2]),
    ({"key": "lang", "cmp": "nex"}, [3, 4]),
    ({"key": "lang", "cmp": "sw", "val": "e"}, [0, 2]),
    ({"key": "lang", "cmp": "ew", "val": "r"}, [1]),
    ({"key": "price", "cmp": "ct", "val": "50"}, [1, 2]),
    ({"key": "price", "cmp": "lt", "val": "50"}, [0, 4]),
    ({"key": "price", "cmp": "lte", "val": "50"}, [0, 1, 4]),
    ({"key": "price", "cmp": "gt", "val": "5.0"}, [1, 2]),
    ({"key": "price", "cmp": "gte", "val": "5.0"}, [0, 1, 2]),
    ({"op": "and", "nodes": [EN, {"key": "price", "cmp": "gt", "val": "100"}]}, [2]),
    ({"op": "or", "nodes": [EN, {"key": "price", "cmp": "lt", "val": "0"}]}, [0, 2, 4]),
    ({"op": "not", "nodes": [EN]}, [1, 3, 4]),
], ids=lambda value: (value.get("op") or value.get("cmp")) if isinstance(value, dict) else "")
def test_only_what_matches_comes(sdk, hub, fresh, filter, wanted):
    channel, client = fresh("tags:"), sdk()
    client.connect()
    client.subscribe(channel, filter=filter)
    for number, tags in enumerate(TAGS):
        hub.publish(channel, number, tags=tags)
    # Something that each of the filters lets through, and the last of all.
    end = {"ex": {"lang": "x"}, "sw": {"lang": "e"}, "ew": {"lang": "r"}, "in": {"lang": "fr"}, "eq": {"lang": "en"}}
    last = end.get(filter.get("cmp")) or next(TAGS[number] for number in wanted)
    hub.publish(channel, "last", tags=last)
    assert [one["data"] for one in client.publications(channel, len(wanted) + 1)] == [*wanted, "last"]


def test_it_holds_for_what_is_recovered_and_the_position_moves_on(sdk, hub, proxy, fresh):
    channel, client = fresh("tags:"), sdk(at=proxy)
    client.connect()
    client.subscribe(channel, filter=EN)
    away(proxy, client)
    for number, tags in enumerate(TAGS):
        hub.publish(channel, number, tags=tags)
    proxy.accept()
    assert client.take("subscribed", channel=channel)["recovered"]
    hub.publish(channel, "live", tags={"lang": "en"})
    assert [(one["data"], one["offset"]) for one in client.publications(channel, 3)] == [(0, 1), (2, 3), ("live", 6)]


def test_where_it_is_not_allowed_it_is_refused_with_107(sdk, fresh):
    channel, client = fresh("hh:"), sdk()
    client.connect()
    client.do("subscribe", channel=channel, filter=EN)
    assert client.take("unsubscribed", channel=channel)["code"] == 107
