//! Recovery: who comes back with its position gets exactly what it missed, or is told that it cannot. Never a gap,
//! never a duplicate, never a false "recovered".

use crate::client::{Events, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = "[[topics]]\npattern = \"brief\"\npublish = \"anyone\"\nhistory = { size = 100, ttl = \"300ms\" }\n\
    [[topics]]\npattern = \"forgetful\"\npublish = \"anyone\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 5 }\n";

fn hub() -> TestHub {
    TestHub::start(2, CONFIG)
}

/// Publishes `texts` and returns their positions.
fn publish(hub: &TestHub, topic: &str, texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<String> {
    let mut http = hub.http();
    texts.into_iter().map(|text| http.publish(topic, text)).collect()
}

fn since(hub: &TestHub, topic: &str, position: &str, format: &str) -> WebSocket {
    hub.websocket(&format!("/topics/{topic}?since={position}&format={format}"))
}

/// Asserts that the next publication is the next that is published: nothing else was on its way.
#[track_caller]
fn assert_live(hub: &TestHub, topic: &str, socket: &mut WebSocket) {
    hub.publish(topic, "live");
    let line = socket.json();
    assert_eq!(line["data"], "live", "{line}");
}

#[test]
fn who_comes_back_with_json_gets_a_notice_and_what_it_missed() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a", "b", "c", "d"]);
    let mut socket = since(&hub, "news", &positions[1], "json");
    let notice = socket.json();
    let (epoch, offset) = positions[3].split_once(':').unwrap();
    assert_eq!(
        notice,
        serde_json::json!({
            "topic": "news", "epoch": epoch, "offset": offset.parse::<u64>().unwrap(), "recovered": true
        })
    );
    for (data, offset) in [("c", 3), ("d", 4)] {
        let line = socket.json();
        assert_eq!(line, serde_json::json!({ "topic": "news", "epoch": epoch, "offset": offset, "data": data }));
    }
    assert_live(&hub, "news", &mut socket);
}

#[test]
fn who_comes_back_raw_gets_what_it_missed_and_nothing_else() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a", "b", "c"]);
    let mut socket = since(&hub, "news", &positions[0], "plain");
    assert_eq!((socket.text(), socket.text()), ("b".into(), "c".into()));
    hub.publish("news", "live");
    assert_eq!(socket.text(), "live");
}

#[test]
fn who_missed_nothing_is_told_so() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a"]);
    let mut socket = since(&hub, "news", &positions[0], "json");
    assert_eq!(socket.json()["recovered"], true);
    assert_live(&hub, "news", &mut socket);
}

#[test]
fn the_oldest_kept_publication_is_the_last_that_can_be_recovered() {
    let hub = hub();
    // Five are kept: 4 to 8.
    let positions = publish(&hub, "news", ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let mut socket = since(&hub, "news", &positions[2], "json");
    assert_eq!(socket.json()["recovered"], true);
    for data in ["4", "5", "6", "7", "8"] {
        assert_eq!(socket.json()["data"], data);
    }
    assert_live(&hub, "news", &mut socket);
    // One more was published: 5 to 9.
    let mut socket = since(&hub, "news", &positions[2], "json");
    let notice = socket.json();
    assert_eq!((notice["recovered"].as_bool(), notice["offset"].as_u64()), (Some(false), Some(9)));
    assert_live(&hub, "news", &mut socket);
}

#[test]
fn a_gap_is_told_on_a_raw_socket_too() {
    let hub = hub();
    let positions = publish(&hub, "news", ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let mut socket = since(&hub, "news", &positions[0], "plain");
    assert_eq!(socket.json()["recovered"], false);
    hub.publish("news", "live");
    assert_eq!(socket.text(), "live");
}

#[test]
fn a_position_of_another_epoch_is_not_recovered() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a", "b"]);
    let epoch: u64 = positions[0].split_once(':').unwrap().0.parse().unwrap();
    for position in [format!("{}:1", epoch - 1), format!("{}:1", epoch + 1), "0:0".into()] {
        let mut socket = since(&hub, "news", &position, "json");
        let notice = socket.json();
        assert_eq!((notice["recovered"].as_bool(), notice["offset"].as_u64()), (Some(false), Some(2)), "{position}");
        assert_eq!(notice["epoch"], epoch.to_string());
        socket.assert_nothing_came();
    }
}

#[test]
fn a_position_that_was_never_reached_is_not_recovered() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a"]);
    let (epoch, _) = positions[0].split_once(':').unwrap();
    let mut socket = since(&hub, "news", &format!("{epoch}:99"), "json");
    assert_eq!(socket.json()["recovered"], false);
    assert_live(&hub, "news", &mut socket);
}

#[test]
fn what_has_expired_is_not_recovered() {
    let hub = hub();
    let positions = publish(&hub, "brief", ["a", "b"]);
    eventually("the history has expired", || {
        let mut socket = since(&hub, "brief", &positions[0], "json");
        socket.json()["recovered"] == false
    });
    // But who missed nothing misses nothing, however long ago; unless the topic itself was freed.
    let mut subscriber = hub.websocket("/topics/brief?format=json");
    hub.publish("brief", "c");
    let line = subscriber.json();
    let position = format!("{}:{}", line["epoch"].as_str().unwrap(), line["offset"]);
    let mut http = hub.http();
    eventually("the history has expired", || {
        http.get("/topics/brief").json()["publications"].as_array().unwrap().is_empty()
    });
    let mut socket = since(&hub, "brief", &position, "json");
    assert_eq!(socket.json()["recovered"], true);
    assert_live(&hub, "brief", &mut socket);
}

#[test]
fn a_topic_that_was_freed_comes_back_with_another_epoch() {
    let hub = hub();
    let positions = publish(&hub, "brief", ["a"]);
    eventually("the topic is freed", || hub.server().surface().hub.census().topics == 0);
    let again = publish(&hub, "brief", ["b"]);
    assert_ne!(positions[0], again[0]);
    let mut socket = since(&hub, "brief", &positions[0], "json");
    assert_eq!(socket.json()["recovered"], false, "the same offset of another life is another publication");
}

#[test]
fn without_history_only_who_missed_nothing_is_recovered() {
    let hub = hub();
    let mut holder = hub.websocket("/topics/forgetful?format=json");
    let positions = publish(&hub, "forgetful", ["a", "b"]);
    assert_eq!(holder.json()["data"], "a");
    assert_eq!(since(&hub, "forgetful", &positions[1], "json").json()["recovered"], true);
    assert_eq!(since(&hub, "forgetful", &positions[0], "json").json()["recovered"], false);
}

#[test]
fn history_gives_the_last_ones() {
    let hub = hub();
    publish(&hub, "news", ["1", "2", "3", "4", "5", "6"]);
    for (count, first) in [(0, 7), (1, 6), (3, 4), (5, 2), (1_000_000, 2)] {
        let mut socket = hub.websocket(&format!("/topics/news?history={count}&format=json"));
        for offset in first..=6 {
            assert_eq!(socket.json()["offset"], offset, "history={count}");
        }
        socket.assert_nothing_came();
    }
}

#[test]
fn binary_publications_are_recovered_as_what_they_are() {
    let hub = hub();
    let first = hub.publish("news", "text");
    let mut http = hub.http();
    http.request("POST", "/topics/news", &[("Content-Type", "application/octet-stream")], b"\x00\xff");
    let mut raw = since(&hub, "news", &first, "plain");
    assert_eq!(raw.hear(), crate::client::Heard::Binary(vec![0, 0xff]));
    let mut json = since(&hub, "news", &first, "json");
    assert_eq!(json.json()["recovered"], true);
    assert_eq!(json.json()["base64"], "AP8=");
    let mut stream = Events::resume(hub.address(), "/topics/news", &first);
    assert_eq!(stream.event().name, "recovered");
    let event = stream.event();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("binary", "AP8="));
}

#[test]
fn a_stream_that_comes_back_goes_on_exactly() {
    let hub = hub();
    let mut stream = hub.events("/topics/news");
    publish(&hub, "news", ["a", "b\nwith a second line"]);
    assert_eq!(stream.event().data, "a");
    assert_eq!(stream.event().data, "b\nwith a second line");
    let id = stream.last_id.clone();
    assert!(stream.retry_ms.is_some_and(|retry| (1500..=4500).contains(&retry)), "{:?}", stream.retry_ms);
    drop(stream);
    publish(&hub, "news", ["c", "d"]);
    let mut stream = Events::resume(hub.address(), "/topics/news", &id);
    let notice = stream.event();
    assert_eq!((notice.name.as_str(), notice.json()["recovered"].as_bool()), ("recovered", Some(true)));
    assert_eq!((stream.event().data, stream.event().data), ("c".into(), "d".into()));
    hub.publish("news", "live");
    assert_eq!(stream.event().data, "live");
}

#[test]
fn a_stream_that_is_lost_before_its_first_event_can_come_back() {
    let hub = hub();
    publish(&hub, "news", ["before"]);
    let mut stream = hub.events("/topics/news");
    stream.read_until(|stream| !stream.last_id.is_empty());
    let id = stream.last_id.clone();
    drop(stream);
    publish(&hub, "news", ["missed"]);
    let mut stream = Events::resume(hub.address(), "/topics/news", &id);
    assert_eq!(stream.event().name, "recovered");
    assert_eq!(stream.event().data, "missed");
}

#[test]
fn a_stream_with_a_gap_is_told_and_can_come_back_from_there() {
    let hub = hub();
    let positions = publish(&hub, "news", ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let mut stream = Events::resume(hub.address(), "/topics/news", &positions[0]);
    let notice = stream.event();
    assert_eq!((notice.name.as_str(), notice.json()["recovered"].as_bool()), ("recovered", Some(false)));
    stream.read_until(|stream| !stream.last_id.is_empty());
    assert_eq!(stream.last_id, positions[7], "from here on it can be resumed");
    drop(stream);
    let positions = publish(&hub, "news", ["9"]);
    let mut stream = Events::resume(hub.address(), "/topics/news", &positions[0].replace(":9", ":8"));
    assert_eq!(stream.event().json()["recovered"], true);
    assert_eq!(stream.event().data, "9");
}

#[test]
fn the_header_of_a_browser_that_comes_back_is_newer_than_its_url() {
    let hub = hub();
    let positions = publish(&hub, "news", ["1", "2", "3"]);
    let target = format!("/topics/news?since={}", positions[0]);
    let mut stream = Events::resume(hub.address(), &target, &positions[1]);
    assert_eq!(stream.event().json()["recovered"], true);
    assert_eq!(stream.event().data, "3");
    // Without the header the URL counts.
    let mut stream = hub.events(&target);
    assert_eq!(stream.event().json()["recovered"], true);
    assert_eq!((stream.event().data, stream.event().data), ("2".into(), "3".into()));
}

/// A stream over three topics and what its client knows.
fn several(hub: &TestHub, id: &str) -> Events {
    let target = "/topics/a?also=b&also=c";
    if id.is_empty() { hub.events(target) } else { Events::resume(hub.address(), target, id) }
}

#[test]
fn a_stream_of_several_topics_tells_where_it_is_in_all_of_them() {
    let hub = hub();
    publish(&hub, "b", ["old", "older"]);
    let mut stream = several(&hub, "");
    stream.read_until(|stream| !stream.last_id.is_empty());
    let offsets = |id: &str| id.split(',').map(|one| one.split_once(':').unwrap().1.to_owned()).collect::<Vec<_>>();
    assert_eq!(offsets(&stream.last_id), ["0", "2", "0"]);
    for (topic, expected) in
        [("a", ["1", "2", "0"]), ("c", ["1", "2", "1"]), ("a", ["2", "2", "1"]), ("b", ["2", "3", "1"])]
    {
        let position = hub.publish(topic, "x");
        let event = stream.event();
        assert_eq!(offsets(&event.id), expected);
        let line = event.json();
        assert_eq!((line["topic"].as_str(), line["data"].as_str()), (Some(topic), Some("x")));
        assert_eq!(format!("{}:{}", line["epoch"].as_str().unwrap(), line["offset"]), position);
    }
}

#[test]
fn a_stream_of_several_topics_that_comes_back_goes_on_exactly_in_each() {
    let hub = hub();
    let mut stream = several(&hub, "");
    stream.read_until(|stream| !stream.last_id.is_empty());
    // Lost before its first event, and again after each one.
    for round in 0..4 {
        let id = stream.last_id.clone();
        drop(stream);
        let mut missed = Vec::new();
        for (topic, count) in [("a", 2), ("b", round), ("c", 3)] {
            for n in 0..count {
                hub.publish(topic, format!("{topic} {round} {n}"));
                missed.push(format!("{topic} {round} {n}"));
            }
        }
        stream = several(&hub, &id);
        let mut seen = Vec::new();
        while seen.len() < missed.len() {
            let event = stream.event();
            match event.name.as_str() {
                "recovered" => assert_eq!(event.json()["recovered"], true, "{}", event.data),
                _ => seen.push(event.json()["data"].as_str().unwrap().to_owned()),
            }
        }
        seen.sort();
        missed.sort();
        assert_eq!(seen, missed);
        hub.publish("b", "live");
        assert_eq!(stream.event().json()["data"], "live");
    }
}

#[test]
fn a_stream_of_several_topics_is_told_of_a_gap_in_one_of_them() {
    let hub = hub();
    let mut stream = several(&hub, "");
    stream.read_until(|stream| !stream.last_id.is_empty());
    let id = stream.last_id.clone();
    drop(stream);
    publish(&hub, "a", ["a1"]);
    publish(&hub, "b", ["b1", "b2", "b3", "b4", "b5", "b6"]);
    let mut stream = several(&hub, &id);
    let mut recovered = std::collections::BTreeMap::new();
    while recovered.len() < 3 {
        let event = stream.event();
        assert_eq!(event.name, "recovered", "the notices come first");
        let line = event.json();
        recovered.insert(line["topic"].as_str().unwrap().to_owned(), line["recovered"].as_bool().unwrap());
    }
    assert_eq!(
        recovered.into_iter().collect::<Vec<_>>(),
        [("a".into(), true), ("b".into(), false), ("c".into(), true)]
    );
    assert_eq!(stream.event().json()["data"], "a1");
    // From here on it can be resumed everywhere.
    let id = stream.last_id.clone();
    drop(stream);
    publish(&hub, "b", ["b7"]);
    let mut stream = several(&hub, &id);
    loop {
        let event = stream.event();
        if event.name == "recovered" {
            assert_eq!(event.json()["recovered"], true, "{}", event.data);
        } else {
            assert_eq!(event.json()["data"], "b7");
            break;
        }
    }
}

#[test]
fn each_of_many_streams_at_different_places_gets_what_it_missed() {
    let hub = TestHub::start(1, "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 1000 }\n");
    let mut watcher = several(&hub, "");
    watcher.read_until(|stream| !stream.last_id.is_empty());
    let mut ids = vec![watcher.last_id.clone()];
    let mut published = Vec::new();
    for n in 0..30 {
        let topic = ["a", "b", "c"][n % 3];
        hub.publish(topic, n.to_string());
        published.push(n.to_string());
        ids.push(watcher.event().id);
    }
    let mut streams: Vec<(usize, Events)> = ids.iter().enumerate().map(|(at, id)| (at, several(&hub, id))).collect();
    for n in 30..40 {
        hub.publish(["a", "b", "c"][n % 3], n.to_string());
        published.push(n.to_string());
    }
    for (at, stream) in &mut streams {
        let mut seen = Vec::new();
        while seen.len() < published.len() - *at {
            let event = stream.event();
            if event.name == "message" {
                seen.push(event.json()["data"].as_str().unwrap().parse::<usize>().unwrap());
            }
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (*at..40).collect::<Vec<_>>(), "resumed after {at}: {seen:?}");
        // Each topic by itself is in order.
        for topic in 0..3 {
            let of_topic: Vec<_> = seen.iter().filter(|n| **n % 3 == topic).collect();
            assert!(of_topic.is_sorted(), "{seen:?}");
        }
    }
}

#[test]
fn bad_ids_are_refused_rather_than_ignored() {
    let hub = hub();
    for id in ["nonsense", "1:2,", "1:2,3:4", "1:-2", ","] {
        let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", id)];
        let answer = hub.http().request("GET", "/topics/a?also=b&also=c", &headers, b"");
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-parameter"), "{id:?}");
    }
}

#[test]
fn recoveries_are_counted() {
    let hub = hub();
    let positions = publish(&hub, "news", ["a", "b"]);
    drop(since(&hub, "news", &positions[0], "plain"));
    drop(since(&hub, "news", "1:1", "plain"));
    drop(hub.websocket("/topics/news"));
    let counts = || hub.counters().recoveries.each_ref().map(fanfare::admin::counters::Counter::get);
    eventually("all three are counted", || counts() == [1, 1, 1]);
}
