//! Frames of commands: what is tolerated, what is not, and where it stops.

use super::*;

fn protobuf(frame: &[u8]) -> Vec<Result<Command<'_>, Malformed>> {
    Commands::new(Format::Protobuf, frame).collect()
}

const PONG: Command<'static> = Command { id: 0, method: Method::Pong };

fn unsubscribe(id: u32, channel: &str) -> Command<'_> {
    Command { id, method: Method::Unsubscribe(Unsubscribe { channel: channel.into() }) }
}

#[test]
fn an_empty_frame_is_malformed() {
    assert_eq!(json(""), [Err(Malformed::Empty)]);
    assert_eq!(json(" \r\n\n"), [Err(Malformed::Empty)]);
    assert_eq!(protobuf(b""), [Err(Malformed::Empty)]);
}

#[test]
fn objects_may_stand_on_lines_with_space_around_them_or_side_by_side() {
    for frame in ["{}\n{}", "\n {}\r\n{} \n\n", "{}{}", "{ }\t{\n}"] {
        assert_eq!(json(frame), [Ok(PONG), Ok(PONG)], "{frame:?}");
    }
}

#[test]
fn an_empty_line_between_two_objects_is_malformed() {
    assert_eq!(json("{}\n\n{}"), [Ok(PONG), Err(Malformed::Empty)]);
}

#[test]
fn an_empty_message_is_a_pong_in_protobuf() {
    assert_eq!(protobuf(&[0, 0]), [Ok(PONG), Ok(PONG)]);
}

#[test]
fn what_is_not_an_object_is_malformed_and_what_stood_before_it_is_not() {
    for (rest, expected) in [
        ("[1,{}]", Malformed::JsonTypes),
        ("1", Malformed::JsonTypes),
        ("null", Malformed::JsonTypes),
        ("\"{}\"", Malformed::JsonTypes),
        ("{", Malformed::Json),
        ("}", Malformed::Json),
        ("hello", Malformed::Json),
        ("{\"id\":1 \"connect\":{}}", Malformed::Json),
        ("{\"id\":\"1\"}", Malformed::JsonTypes),
        ("{\"id\":-1}", Malformed::JsonTypes),
        ("{\"id\":1.5}", Malformed::JsonTypes),
        ("{\"id\":4294967296}", Malformed::JsonTypes),
        ("{\"id\":1,\"connect\":[]}", Malformed::JsonTypes),
        ("{\"id\":1,\"connect\":{\"token\":1}}", Malformed::JsonTypes),
        ("{\"id\":1,\"connect\":{\"subs\":[]}}", Malformed::JsonTypes),
        ("{\"id\":1,\"connect\":{\"subs\":{\"a\":[]}}}", Malformed::JsonTypes),
        ("{\"id\":1,\"subscribe\":{\"recover\":1}}", Malformed::JsonTypes),
        ("{\"id\":1,\"subscribe\":{\"offset\":-1}}", Malformed::JsonTypes),
    ] {
        let frame = format!("{{}}\n{rest}\n{{}}");
        assert_eq!(json(&frame), [Ok(PONG), Err(expected)], "{frame}");
    }
    assert_eq!(json("\u{feff}{}"), [Err(Malformed::Json)]);
}

#[test]
fn a_message_that_is_not_all_there_is_malformed_and_what_stood_before_it_is_not() {
    for rest in [b"\x03\x08\x01".as_slice(), b"\x80", b"\x02\x0a\x00", b"\x02\x20\x01", b"\x04\x08\x01\x32\x05"] {
        let frame = [b"\0", rest].concat();
        assert_eq!(protobuf(&frame), [Ok(PONG), Err(Malformed::Protobuf)], "{rest:x?}");
    }
    let not_utf8 = b"\x07\x08\x01\x32\x03\x0a\x01\xff";
    assert_eq!(protobuf(not_utf8), [Err(Malformed::Protobuf)]);
    let longer_than_memory = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(protobuf(longer_than_memory), [Err(Malformed::Protobuf)]);
}

#[test]
fn all_but_send_and_pong_need_an_id() {
    assert_eq!(json(r#"{"connect":{}}"#), [Err(Malformed::MissingId)]);
    assert_eq!(json(r#"{"id":0,"publish":{}}"#), [Err(Malformed::MissingId)]);
    assert_eq!(json(r#"{"id":null,"publish":{}}"#), [Err(Malformed::MissingId)]);
    assert_eq!(json(r#"{"ping":{}}"#), [Err(Malformed::MissingId)]);
    assert_eq!(protobuf(b"\x02\x32\x00"), [Err(Malformed::MissingId)]);
    assert_eq!(only(r#"{"send":{}}"#).method, Method::Send(Send { data: None }));
    assert_eq!(only(r#"{"id":0}"#), PONG);
}

#[test]
fn an_id_needs_a_method() {
    for frame in [r#"{"id":1}"#, r#"{"id":1,"dance":{}}"#, r#"{"id":1,"connect":null}"#] {
        assert_eq!(json(frame), [Err(Malformed::MissingMethod)], "{frame}");
    }
    assert_eq!(protobuf(b"\x02\x08\x01"), [Err(Malformed::MissingMethod)]);
}

#[test]
fn of_two_methods_the_first_in_the_order_of_the_protocol_is_done() {
    let names = [
        "connect",
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "rpc",
        "send",
        "refresh",
        "sub_refresh",
        "ping",
    ];
    let numbers = [4, 5, 6, 7, 8, 9, 10, 13, 12, 14, 15, 11];
    for first in 0..names.len() {
        let alone = format!(r#"{{"id":1,"{}":{{}}}}"#, names[first]);
        for second in first + 1..names.len() {
            for (left, right) in [(first, second), (second, first)] {
                let both = format!(r#"{{"{}":{{}},"id":1,"{}":{{}}}}"#, names[left], names[right]);
                assert_eq!(only(&both), only(&alone), "{both}");
                let both = [6, numbers[left] << 3 | 2, 0, 0x08, 1, numbers[right] << 3 | 2, 0];
                assert_eq!(protobuf(&both), [Ok(only(&alone))], "{both:?}");
            }
        }
    }
}

#[test]
fn null_is_the_same_as_nothing_except_as_a_payload() {
    let nulls = concat!(
        r#"{"id":1,"subscribe":{"channel":null,"token":null,"recover":null,"offset":null,"epoch":null,"flag":null,"#,
        r#""delta":null,"tf":null,"type":null,"data":null},"connect":null}"#
    );
    let subscribe = Subscribe { data: Some(b"null"), ..Subscribe::default() };
    assert_eq!(only(nulls), Command { id: 1, method: Method::Subscribe(subscribe) });
    let nulls = r#"{"id":1,"connect":{"subs":{"a":null},"headers":{"h":null},"data": null }}"#;
    let connect = Connect {
        subs: vec![("a".into(), Subscribe::default())],
        headers: vec![("h".into(), "".into())],
        data: Some(b"null"),
        ..Connect::default()
    };
    assert_eq!(only(nulls), Command { id: 1, method: Method::Connect(connect) });
    assert_eq!(only(r#"{"id":1,"connect":{"subs":null,"headers":null}}"#).method, Method::Connect(Connect::default()));
    assert_eq!(only(r#"{"id":1,"history":{"since":null}}"#).method, Method::History(History::default()));
    assert_eq!(only(r#"{"id":1,"publish":{}}"#).method, Method::Publish(Publish::default()));
}

#[test]
fn unknown_fields_are_ignored() {
    assert_eq!(only(r#"{"id":1,"x":[{"y":"}"}],"unsubscribe":{"channel":"c","z":{"id":9}}}"#), unsubscribe(1, "c"));
    let frame = b"\x12\x08\x01\x92\x01\x01x\x32\x0a\x0a\x01c\x10\x07\x1d\0\0\0\0";
    assert_eq!(protobuf(frame), [Ok(unsubscribe(1, "c"))]);
}

#[test]
fn strings_are_borrowed_unless_something_is_escaped_in_them() {
    let is_borrowed = |frame: &str| match only(frame).method {
        Method::Unsubscribe(Unsubscribe { channel }) => matches!(channel, std::borrow::Cow::Borrowed(_)),
        other => panic!("{other:?}"),
    };
    assert!(is_borrowed(r#"{"id":1,"unsubscribe":{"channel":"c"}}"#));
    assert!(!is_borrowed(r#"{"id":1,"unsubscribe":{"channel":"\u0063"}}"#));
    assert_eq!(only(r#"{"id":1,"unsubscribe":{"channel":"\u0063"}}"#), unsubscribe(1, "c"));
}

#[test]
fn payloads_are_the_bytes_that_the_client_sent() {
    let frame = "{\"id\":1,\"publish\":{\"channel\":\"c\",\"data\": {\"a\" :\n 1.10} }}";
    let Method::Publish(publish) = only(frame).method else { panic!() };
    assert_eq!(publish.data, Some("{\"a\" :\n 1.10}".as_bytes()));
    let frame = b"\x08\x08\x01\x3a\x04\x12\x02\xff\0";
    assert_eq!(
        protobuf(frame)[0].as_ref().unwrap().method,
        Method::Publish(Publish { data: Some(b"\xff\0"), ..Publish::default() })
    );
}

#[test]
fn a_frame_has_so_many_commands_and_no_more() {
    let most = "{}".repeat(COMMAND_LIMIT);
    assert!(json(&most).iter().all(|command| *command == Ok(PONG)));
    let commands = json(&most);
    assert_eq!(commands.len(), COMMAND_LIMIT);
    let more = most + "{}\n{}";
    let commands = json(&more);
    assert_eq!((commands.len(), commands[COMMAND_LIMIT].clone()), (COMMAND_LIMIT + 1, Err(Malformed::TooManyCommands)));
    let more = vec![0; COMMAND_LIMIT + 5];
    let commands = protobuf(&more);
    assert_eq!((commands.len(), commands[COMMAND_LIMIT].clone()), (COMMAND_LIMIT + 1, Err(Malformed::TooManyCommands)));
}

#[test]
fn values_nested_however_deep_are_no_danger() {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let frame = format!(r#"{{"id":1,"x":{deep},"publish":{{"channel":"c","data":{deep}}}}}"#);
    let Method::Publish(publish) = only(&frame).method else { panic!() };
    assert_eq!(publish.data, Some(deep.as_bytes()));
}
