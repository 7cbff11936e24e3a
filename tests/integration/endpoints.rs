//! Endpoints: the five tutorials, each as its configuration file declares it.

use fanfare::admin::counters::Protocol;

use crate::client::{Heard, WebSocket, masked};
use crate::deadline::eventually;
use crate::hub::TestHub;

#[test]
fn echo_answers_what_it_is_told() {
    let hub = TestHub::from_file("config/tutorials/echo.toml");
    let mut socket = hub.websocket("/websocket");
    socket.send_text("hello");
    assert_eq!(socket.text(), "你发送的消息是：hello");
    socket.send_text("");
    assert_eq!(socket.text(), "你发送的消息是：");
    socket.send_text("{message}");
    assert_eq!(socket.text(), "你发送的消息是：{message}", "what is said is not a template");
    let mut other = hub.websocket("/websocket");
    other.assert_nothing_came();
    let page = hub.http().get("/");
    assert_eq!(page.text(), "WebSocket example");
    assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn handler_answers_text_with_text_and_binary_with_binary() {
    let hub = TestHub::from_file("config/tutorials/handler.toml");
    let mut socket = hub.websocket("/socket/");
    socket.send_text("hi");
    assert_eq!(socket.hear(), Heard::Text("You said: hi".into()));
    socket.send_binary(b"\x00\xff");
    assert_eq!(socket.hear(), Heard::Binary(b"You said: \x00\xff".to_vec()));
    assert_eq!(hub.http().get("/").header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn handler_pings_every_second_and_counts_the_pongs() {
    let hub = TestHub::from_file("config/tutorials/handler.toml");
    let mut socket = hub.websocket("/socket/");
    for _ in 0..2 {
        let Heard::Ping(payload) = socket.hear() else { panic!("not a ping") };
        socket.socket.send(&masked(0x8a, &payload));
    }
    eventually("the pongs are counted", || hub.sum(|shard| &shard.pongs) == 2);
}

#[test]
fn handler_refuses_other_origins() {
    let hub = TestHub::from_file("config/tutorials/handler.toml");
    let try_from = |origin| WebSocket::try_open(hub.address(), "/socket/", &[("Origin", origin)]);
    assert!(try_from("http://localhost:8000").is_ok());
    assert!(try_from("http://localhost").is_ok(), "pages of this host may always connect");
    let refused = try_from("http://evil.example").unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (403, "origin-refused"));
}

/// Connects to the chat room and takes the id that comes first.
fn enter(hub: &TestHub) -> (WebSocket, String) {
    let mut socket = hub.websocket("/chat");
    let uid = socket.text();
    (socket, uid)
}

fn say(socket: &mut WebSocket, uid: &str, message: &str) {
    socket.send_text(&serde_json::json!({ "uid": uid, "message": message }).to_string());
}

fn rendered(uid: &str, message: &str) -> String {
    format!("<div class=\"message\" data-uid=\"{uid}\"><span class=\"uid\">{uid}</span><p>{message}</p></div>")
}

#[test]
fn chat_room_gives_everyone_a_fresh_id_first() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let mut ids: Vec<String> = (0..20).map(|_| enter(&hub).1).collect();
    for id in &ids {
        let uuid = uuid::Uuid::parse_str(id).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.hyphenated().to_string().as_str()), (4, id.as_str()));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn chat_room_renders_for_all_and_remembers_for_those_who_come() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let (mut anna, anna_id) = enter(&hub);
    let (mut ben, ben_id) = enter(&hub);
    say(&mut anna, &anna_id, "hello");
    for socket in [&mut anna, &mut ben] {
        assert_eq!(socket.text(), rendered(&anna_id, "hello"));
    }
    say(&mut ben, &ben_id, "hi");
    for socket in [&mut anna, &mut ben] {
        assert_eq!(socket.text(), rendered(&ben_id, "hi"));
    }
    let (mut carl, _) = enter(&hub);
    assert_eq!(carl.text(), rendered(&anna_id, "hello"), "the history comes behind the id");
    assert_eq!(carl.text(), rendered(&ben_id, "hi"));
    say(&mut anna, &anna_id, "welcome");
    assert_eq!(carl.text(), rendered(&anna_id, "welcome"));
}

#[test]
fn chat_room_escapes_what_people_write() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let (mut socket, _) = enter(&hub);
    say(&mut socket, "\"><img src=x onerror=alert(1)>", "<script>alert('x')</script> & {{ 7 * 7 }}");
    let html = socket.text();
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("49"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn chat_room_tells_the_sender_alone_what_is_wrong() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let (mut anna, anna_id) = enter(&hub);
    let (mut ben, _) = enter(&hub);
    for bad in ["hello", "[]", "{\"uid\":\"x\"}", "{\"uid\":1,\"message\":\"x\"}"] {
        anna.send_text(bad);
        let error = anna.json();
        assert_eq!(error["error"]["code"], "bad-message", "{bad}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("send {")), "{error}");
    }
    anna.send_binary(b"{}");
    assert_eq!(anna.json()["error"]["code"], "bad-message");
    ben.assert_nothing_came();
    say(&mut anna, &anna_id, "sorry");
    assert_eq!(ben.text(), rendered(&anna_id, "sorry"));
    let (mut carl, _) = enter(&hub);
    assert_eq!(carl.text(), rendered(&anna_id, "sorry"), "what was wrong is not in the history");
}

#[test]
fn chat_room_cannot_be_reached_past_its_template() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let (mut anna, _) = enter(&hub);
    assert_eq!(hub.http().post("/topics/chat", "<script>").status, 403);
    let mut raw = hub.websocket("/topics/chat");
    raw.send_text("<script>");
    assert_eq!(raw.closed_with(), 1008);
    anna.assert_nothing_came();
}

#[test]
fn chat_room_serves_its_page_and_files() {
    let hub = TestHub::from_file("config/tutorials/chat-room.toml");
    let mut http = hub.http();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/static/chat.css", "text/css; charset=utf-8"),
        ("/static/chat.js", "text/javascript; charset=utf-8"),
    ] {
        let page = http.get(path);
        assert_eq!((page.status, page.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(!page.body.is_empty());
    }
}

const ENTERED: &str = "Server: A new user has entered the chat room.";
const LEFT: &str = "Server: A user has left the chat room.";

#[test]
fn announcements_tell_all_who_comes_and_goes() {
    let hub = TestHub::from_file("config/tutorials/announcements.toml");
    let mut anna = hub.websocket("/socket");
    assert_eq!(anna.text(), ENTERED, "the newcomer is told, too");
    let mut ben = hub.websocket("/socket");
    assert_eq!((anna.text(), ben.text()), (ENTERED.into(), ENTERED.into()));
    anna.send_text("hello");
    assert_eq!((anna.text(), ben.text()), ("hello".into(), "hello".into()));
    ben.send_close(1000);
    assert_eq!(ben.close_code(), 1000);
    drop(ben);
    assert_eq!(anna.text(), LEFT);
    // However one goes.
    for round in 0..4 {
        let mut other = hub.websocket("/socket");
        assert_eq!((anna.text(), other.text()), (ENTERED.into(), ENTERED.into()));
        match round {
            0 => drop(other),
            1 => other.socket.shut_down_writing(),
            2 => other.socket.send(&[0x81, 0x01, b'x']),
            _ => {
                other.send_text("bye");
                other.send_close(1001);
                assert_eq!(anna.text(), "bye");
            }
        }
        assert_eq!(anna.text(), LEFT, "round {round}");
    }
    assert_eq!(hub.http().get("/").status, 200);
}

#[test]
fn announcements_of_a_crowd_are_complete() {
    let hub = TestHub::from_file("config/tutorials/announcements.toml");
    let mut watcher = hub.websocket("/socket");
    assert_eq!(watcher.text(), ENTERED);
    for _ in 0..50 {
        drop(hub.websocket("/socket"));
    }
    let mut counts = [0, 0];
    while counts != [50, 50] {
        match watcher.text().as_str() {
            ENTERED => counts[0] += 1,
            LEFT => counts[1] += 1,
            other => panic!("{other}"),
        }
        assert!(counts[1] <= counts[0], "more left than came");
    }
    watcher.assert_nothing_came();
    assert_eq!(hub.open(Protocol::Endpoint), 1);
}

#[test]
fn welcome_greets_and_answers() {
    let hub = TestHub::from_file("config/tutorials/welcome.toml");
    let mut socket = WebSocket::try_open(hub.address(), "/ws", &[("Origin", "http://localhost")]).unwrap();
    assert_eq!(socket.text(), "Welcome to the WebSocket server!");
    socket.send_text("thanks");
    assert_eq!(socket.text(), "You said: thanks");
    for origin in ["http://evil.example", "http://localhost.evil.example", "null"] {
        let refused = WebSocket::try_open(hub.address(), "/ws", &[("Origin", origin)]).unwrap_err();
        assert_eq!(refused.status, 403, "{origin}");
    }
}

#[test]
fn everything_that_an_endpoint_can_do_composes_in_its_order() {
    let hub = TestHub::start(
        2,
        "[[endpoints]]\npath = \"/room\"\ntopic = \"room\"\nidentify = true\nwelcome = \"hello\"\nreplay = true\n\
         reply = \"got it: {message}\"\nannounce = { join = \"came\", leave = \"went\" }\n\
         [[topics]]\npattern = \"room\"\nhistory = { size = 3 }\n",
    );
    let mut first = hub.websocket("/room");
    assert_eq!(first.text().len(), 36);
    assert_eq!((first.text(), first.text()), ("hello".into(), "came".into()));
    first.send_text("one");
    // The reply was queued first.
    assert_eq!((first.text(), first.text()), ("got it: one".into(), "one".into()));
    let mut second = hub.websocket("/room");
    assert_eq!(second.text().len(), 36);
    for expected in ["hello", "came", "one", "came"] {
        assert_eq!(second.text(), expected);
    }
    // The same topic by its URL.
    let mut plain = hub.websocket("/topics/room?history=1");
    assert_eq!(plain.text(), "came");
    assert_eq!(first.text(), "came");
    second.send_text("two");
    assert_eq!((first.text(), plain.text()), ("two".into(), "two".into()));
}
