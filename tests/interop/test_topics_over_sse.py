"""`/topics/{topic}` as Server-Sent Events."""

import json

from hub import eventually
from sse import Stream


def subscribed(hub, topic, stream):
    """Waits until the stream is a subscriber: what is published after this reaches it."""
    assert stream.response.status == 200, stream.response.status
    eventually(lambda: hub.publish(topic, "are you there?")["receivers"] >= 1, f"a subscriber of {topic}")
    while stream.event()[1] != "are you there?":
        pass


def test_a_stream_has_the_headers_that_proxies_and_browsers_ask_for(hub):
    with Stream(hub, "/topics/sse-headers") as stream:
        headers = stream.response.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert "no-cache" in headers["Cache-Control"] or "no-store" in headers["Cache-Control"]
        assert headers["X-Accel-Buffering"] == "no"


def test_publications_come_with_their_position_as_id(hub):
    with Stream(hub, "/topics/kept-sse") as stream:
        subscribed(hub, "kept-sse", stream)
        receipt = hub.publish("kept-sse", "hello")
        kind, data, event_id = stream.event()
        assert (kind, data) == ("message", "hello")
        assert event_id == f'{receipt["epoch"]}:{receipt["offset"]}'


def test_lines_of_a_text_stay_lines(hub):
    with Stream(hub, "/topics/sse-lines") as stream:
        subscribed(hub, "sse-lines", stream)
        for text in ["one\ntwo", "one\r\ntwo", "\n", " leading blank", "data: x\nid: 7\n\nevent: y", ":"]:
            hub.publish("sse-lines", text)
            # A carriage return is a line's end to a browser, and cannot come through as itself.
            assert stream.event()[1] == text.replace("\r\n", "\n")


def test_binary_comes_as_base64_in_an_event_of_its_own(hub):
    with Stream(hub, "/topics/sse-binary") as stream:
        subscribed(hub, "sse-binary", stream)
        hub.publish("sse-binary", b"\x00\xff", {"Content-Type": "application/octet-stream"})
        kind, data, _ = stream.event()
        assert (kind, data) == ("binary", "AP8=")


def test_the_time_to_wait_before_coming_back_is_said_with_jitter(hub):
    waits = set()
    for number in range(4):
        topic = f"sse-retry-{number}"
        with Stream(hub, f"/topics/{topic}") as stream:
            subscribed(hub, topic, stream)
            waits.add(stream.retry)
    # sse.retry is 3 s by default, and each gets 0.5 to 1.5 times it.
    assert all(1500 <= wait <= 4500 for wait in waits), waits
    assert len(waits) > 1, waits


def test_a_stream_that_comes_back_gets_exactly_what_it_missed(hub):
    with Stream(hub, "/topics/kept-sse-resume") as stream:
        subscribed(hub, "kept-sse-resume", stream)
        last = stream.last_event_id
    for number in range(5):
        hub.publish("kept-sse-resume", f"missed {number}")
    with Stream(hub, "/topics/kept-sse-resume", last_event_id=last) as stream:
        kind, data, _ = stream.event()
        assert kind == "recovered" and json.loads(data)["recovered"] is True
        offset = int(last.split(":")[1])
        for number in range(5):
            kind, data, event_id = stream.event()
            assert (kind, data) == ("message", f"missed {number}")
            assert int(event_id.split(":")[1]) == offset + 1 + number
        hub.publish("kept-sse-resume", "live")
        assert stream.event()[1] == "live"


def test_a_stream_that_comes_back_too_late_is_told_so_and_goes_on(hub):
    with Stream(hub, "/topics/short-sse") as stream:
        subscribed(hub, "short-sse", stream)
        last = stream.last_event_id
    for number in range(10):
        hub.publish("short-sse", f"missed {number}")
    with Stream(hub, "/topics/short-sse", last_event_id=last) as stream:
        kind, data, _ = stream.event()
        assert kind == "recovered" and json.loads(data)["recovered"] is False


def test_one_stream_may_carry_several_topics(hub):
    with Stream(hub, "/topics/sse-first?also=sse-second&also=sse-third") as stream:
        assert stream.response.status == 200
        heard = []
        for topic in ["sse-first", "sse-second", "sse-third"]:
            eventually(lambda: hub.publish(topic, f"for {topic}")["receivers"] >= 1, f"a subscriber of {topic}")
            while not heard or f"for {topic}" not in heard[-1]:
                heard.append(stream.event()[1])
        assert len(heard) == 3, heard


def test_sse_and_websocket_subscribers_hear_the_same_in_the_same_order(hub, connect):
    client = connect(hub.ws("/topics/sse-both"))
    with Stream(hub, "/topics/sse-both") as stream:
        subscribed(hub, "sse-both", stream)
        while client.receive() != "are you there?":
            pass
        for number in range(100):
            hub.publish("sse-both", str(number))
        # The probes of `subscribed` may have come more than once; what follows them may not.
        over_websocket = [text for text in (client.receive() for _ in range(100)) if text != "are you there?"]
        over_sse = [stream.event()[1] for _ in range(100)]
        assert over_sse == [str(number) for number in range(100)]
        assert over_websocket == over_sse[:len(over_websocket)]
