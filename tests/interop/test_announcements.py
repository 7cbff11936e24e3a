"""Tutorial 4: a chat room that announces who comes and goes."""

TUTORIAL = "announcements"

ENTERED = "Server: A new user has entered the chat room."
LEFT = "Server: A user has left the chat room."


def test_who_comes_is_announced_to_all_the_newcomer_included(tutorial, connect):
    alice = connect(tutorial.ws("/socket"))
    assert alice.receive() == ENTERED
    bob = connect(tutorial.ws("/socket"))
    assert bob.receive() == ENTERED
    assert alice.receive() == ENTERED


def test_every_message_goes_to_all(tutorial, connect):
    clients = []
    for _ in range(3):
        clients.append(connect(tutorial.ws("/socket")))
        for client in clients:
            assert client.receive() == ENTERED
    clients[0].send("hello everyone")
    clients[1].send("hello you")
    # Two senders, so either may be first; but it is the same order for all.
    heard = [[client.receive(), client.receive()] for client in clients]
    assert sorted(heard[0]) == ["hello everyone", "hello you"]
    assert heard[1] == heard[0] and heard[2] == heard[0]


def test_who_leaves_is_announced_to_those_who_stay(tutorial, connect):
    alice = connect(tutorial.ws("/socket"))
    assert alice.receive() == ENTERED
    bob = connect(tutorial.ws("/socket"))
    assert alice.receive() == ENTERED
    bob.close()
    assert alice.receive() == LEFT


def test_the_page_is_plain_text(tutorial):
    answer = tutorial.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text().strip()


def test_the_tutorial_listens_on_port_8000_by_itself():
    from hub import TUTORIALS
    text = (TUTORIALS / "announcements.toml").read_text()
    # No listen of its own means the default, which is 127.0.0.1:8000.
    assert "listen" not in text or ":8000" in text
