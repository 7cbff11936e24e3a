"""Tutorial 3: a chat room that remembers, with messages rendered by the server."""

import http.client
import json
import uuid

import pytest

from hub import SOON

TUTORIAL = "chat-room"


def enter(connect, hub):
    """A client in the room, and the id it was given."""
    client = connect(hub.ws("/chat"))
    return client, client.receive()


def said(uid, message):
    return json.dumps({"uid": uid, "message": message})


def test_the_first_message_is_a_fresh_uuid(tutorial, connect):
    ids = {enter(connect, tutorial)[1] for _ in range(3)}
    assert len(ids) == 3
    for one in ids:
        assert uuid.UUID(one).version == 4
        assert str(uuid.UUID(one)) == one


def test_a_message_is_rendered_and_sent_to_all_the_sender_included(tutorial, connect):
    alice, uid = enter(connect, tutorial)
    bob, _ = enter(connect, tutorial)
    alice.send(said(uid, "hello"))
    html = alice.receive()
    assert bob.receive() == html
    assert html.startswith("<") and "hello" in html and uid in html


def test_what_people_write_is_escaped(tutorial, connect):
    alice, uid = enter(connect, tutorial)
    alice.send(said(uid, "<script>alert(1)</script> & \"quotes\""))
    html = alice.receive()
    assert "<script" not in html
    assert "&lt;script&gt;" in html and "&amp;" in html
    alice.send(said('"><img src=x onerror=alert(1)>', "x"))
    html = alice.receive()
    assert "<img" not in html and '"><' not in html.replace('"><span', "").replace('"><p', "")


@pytest.mark.parametrize("wrong", [
    "not json",
    "[]",
    "42",
    "{}",
    '{"uid":"1"}',
    '{"uid":"1","message":7}',
    '{"uid":null,"message":"x"}',
    '{"uid":"1","message":"x"',
    b'{"uid":"1","message":"x"}',
], ids=repr)
def test_what_is_not_a_message_is_an_error_for_its_sender_only(tutorial, connect, wrong):
    alice, uid = enter(connect, tutorial)
    bob, _ = enter(connect, tutorial)
    alice.send(wrong)
    error = json.loads(alice.receive())["error"]
    assert error["code"] == "bad-message"
    assert error["message"]
    # What Bob hears next is the next good message: nothing came between.
    alice.send(said(uid, "good"))
    assert "good" in bob.receive()
    assert "good" in alice.receive()
    # Nor was it kept.
    carol, _ = enter(connect, tutorial)
    assert "good" in carol.receive()


def test_who_joins_gets_the_history_first_each_message_as_it_was_rendered(tutorial, connect):
    alice, uid = enter(connect, tutorial)
    rendered = []
    for number in range(20):
        alice.send(said(uid, f"message {number}"))
        rendered.append(alice.receive())
    bob, _ = enter(connect, tutorial)
    assert [bob.receive() for _ in range(20)] == rendered
    alice.send(said(uid, "now"))
    assert "now" in bob.receive()


def test_nobody_publishes_into_the_room_around_the_checks(tutorial, connect):
    answer = tutorial.post("/topics/chat", "<script>alert(1)</script>")
    assert answer.status == 403
    assert answer.json()["code"] == "publish-not-allowed"


def test_page_and_static_files_are_served(tutorial):
    page = tutorial.get("/")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    script = tutorial.get("/static/chat.js")
    assert script.status == 200
    assert "javascript" in script.headers["Content-Type"]
    assert tutorial.get("/static/chat.css").headers["Content-Type"].startswith("text/css")
    assert tutorial.get("/static/nothing.js").status == 404


def test_a_file_that_has_not_changed_is_not_sent_again(tutorial):
    etag = tutorial.get("/static/chat.js").headers["ETag"]
    again = tutorial.get("/static/chat.js", headers={"If-None-Match": etag})
    assert again.status == 304
    assert again.body == b""


@pytest.mark.parametrize("path", [
    "/static/../index.html",
    "/static/%2e%2e/index.html",
    "/static/..%2findex.html",
    "/static/..%5cindex.html",
    "/static//../../chat-room.toml",
    "/static/%2fetc/passwd",
    "/static/chat.js%00.css",
])
def test_no_path_leaves_the_directory(tutorial, path):
    # Sent as it is: other clients would tidy the path up first.
    connection = http.client.HTTPConnection("127.0.0.1", tutorial.port, timeout=SOON)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in (400, 404), (answer.status, body[:200])
    assert b"[[endpoints]]" not in body and b"root:" not in body and b"<!doctype" not in body
