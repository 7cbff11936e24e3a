//! Frames as they were captured between Centrifugo 6.9.1, centrifuge-js 5.8.0 and centrifuge-python 0.7.0, except that our
//! epochs are numbers and that tokens and ids are shortened.

use super::*;

const RECOVERABLE: SubscribeResult<'static> = SubscribeResult {
    ttl_s: None,
    recoverable: true,
    epoch: Some(Epoch(7)),
    publications: &[],
    recovered: false,
    offset: Offset(0),
    positioned: true,
    data: None,
    was_recovering: false,
    delta: false,
};

const CONNECTED: ConnectResult<'static> = ConnectResult {
    client: "101fe4fd",
    version: "6.9.1 OSS",
    ttl_s: None,
    data: None,
    subs: &[],
    ping_s: 2,
    pong: true,
    session: "",
    node: "",
    time_ms: 0,
};

const fn at(data: &[u8], offset: u64) -> Publication<'_> {
    Publication { offset: Offset(offset), ..Publication::new(Data::Value(data)) }
}

#[test]
fn connect_and_all_subscriptions_come_in_one_frame() {
    let frame = concat!(
        r#"{"connect":{"token":"eyJ","name":"web","subs":{"user:#js1":{"recover":true,"epoch":"77"}}},"id":9}"#,
        "\n",
        r#"{"subscribe":{"channel":"hh:js","positioned":true,"recoverable":true,"join_leave":true,"flag":1,"#,
        r#""recover":true,"offset":1,"epoch":"tjYLgQUf"},"id":10}"#,
        "\n",
        r#"{"subscribe":{"channel":"pp:js","flag":1},"id":11}"#,
    );
    let commands: Vec<_> = json(frame).into_iter().map(Result::unwrap).collect();
    let user = Subscribe { recover: true, epoch: ClaimedEpoch::Of(Epoch(77)), ..Subscribe::default() };
    let connect = Connect {
        token: "eyJ".into(),
        name: "web".into(),
        subs: vec![("user:#js1".into(), user)],
        ..Connect::default()
    };
    let history = Subscribe {
        channel: "hh:js".into(),
        positioned: true,
        recoverable: true,
        join_leave: true,
        flag: Subscribe::NUMERIC_CHANNELS,
        recover: true,
        offset: Offset(1),
        epoch: ClaimedEpoch::Foreign,
        ..Subscribe::default()
    };
    let plain = Subscribe { channel: "pp:js".into(), flag: 1, ..Subscribe::default() };
    let expected = [
        Command { id: 9, method: Method::Connect(connect) },
        Command { id: 10, method: Method::Subscribe(history) },
        Command { id: 11, method: Method::Subscribe(plain) },
    ];
    assert_eq!(commands, expected);
}

#[test]
fn a_subscription_with_a_filter() {
    let filtered = only(r#"{"id":2,"subscribe":{"channel":"ff:a","tf":{"key":"lang","cmp":"eq","val":"en"}}}"#);
    let Method::Subscribe(Subscribe { tf: Some(Ok(filter)), .. }) = filtered.method else { panic!() };
    assert!(filter.matches(|key| (key == "lang").then_some("en")));
    assert!(!filter.matches(|key| (key == "lang").then_some("de")));
    let unusable = only(r#"{"id":2,"subscribe":{"channel":"ff:a","tf":{"key":"lang","cmp":"is","val":"en"}}}"#);
    let Method::Subscribe(subscribe) = unusable.method else { panic!() };
    assert_eq!(subscribe.tf, Some(Err(BadFilter::UnknownComparison)));
}

#[test]
fn other_commands() {
    let since = Since { offset: Offset(3), epoch: ClaimedEpoch::Of(Epoch(7)) };
    let history = History { channel: "hh:a".into(), limit: -1, ..History::default() };
    let publish = Publish { channel: "c".into(), data: Some(b"{\"a\": 1}"), ..Publish::default() };
    let expected = [
        (r#"{"id":4,"history":{"channel":"hh:a","limit":-1}}"#, Method::History(history.clone())),
        (
            r#"{"id":4,"history":{"channel":"hh:a","limit":-1,"since":{"offset":3,"epoch":"7"},"reverse":true}}"#,
            Method::History(History { since: Some(since), reverse: true, ..history }),
        ),
        (r#"{"id":4,"publish":{"channel":"c","data":{"a": 1}}}"#, Method::Publish(publish)),
        (r#"{"id":4,"unsubscribe":{"channel":"c"}}"#, Method::Unsubscribe(Unsubscribe { channel: "c".into() })),
        (r#"{"id":4,"presence":{"channel":"c"}}"#, Method::Presence(Presence { channel: "c".into() })),
        (r#"{"id":4,"presence_stats":{"channel":"c"}}"#, Method::PresenceStats(Presence { channel: "c".into() })),
        (r#"{"id":4,"rpc":{"method":"m","data":1}}"#, Method::Rpc(Rpc { data: Some(b"1"), method: "m".into() })),
        (r#"{"id":4,"refresh":{"token":"t"}}"#, Method::Refresh(Refresh { token: "t".into() })),
        (
            r#"{"id":4,"sub_refresh":{"channel":"c","token":"t"}}"#,
            Method::SubRefresh(SubRefresh { channel: "c".into(), token: "t".into(), kind: 0 }),
        ),
        (r#"{"id":4,"ping":{}}"#, Method::Ping),
    ];
    for (frame, method) in expected {
        assert_eq!(only(frame), Command { id: 4, method }, "{frame}");
    }
    assert_eq!(only(r#"{"send":{"data":[]}}"#), Command { id: 0, method: Method::Send(Send { data: Some(b"[]") }) });
    assert_eq!(only("{}"), Command { id: 0, method: Method::Pong });
}

#[test]
fn connect_replies() {
    let subs = [("user:#u1", RECOVERABLE)];
    assert_eq!(
        reply_json(1, &Reply::Connect(ConnectResult { ttl_s: Some(60), subs: &subs, ..CONNECTED })),
        concat!(
            r#"{"id":1,"connect":{"client":"101fe4fd","version":"6.9.1 OSS","expires":true,"ttl":60,"#,
            r#""subs":{"user:#u1":{"recoverable":true,"epoch":"7","positioned":true}},"ping":2,"pong":true}}"#
        )
    );
    let missed = [Publication { epoch: Some(Epoch(7)), ..at(b"{\"pm\":1}", 1) }];
    let recovered = SubscribeResult { publications: &missed, recovered: true, was_recovering: true, ..RECOVERABLE };
    assert_eq!(
        reply_json(1, &Reply::Connect(ConnectResult { subs: &[("user:#u7", recovered)], ..CONNECTED })),
        concat!(
            r#"{"id":1,"connect":{"client":"101fe4fd","version":"6.9.1 OSS","subs":{"user:#u7":{"recoverable":true,"#,
            r#""epoch":"7","publications":[{"data":{"pm":1},"offset":1,"epoch":"7"}],"recovered":true,"#,
            r#""positioned":true,"was_recovering":true}},"ping":2,"pong":true}}"#
        )
    );
    assert_eq!(
        reply_json(1, &Reply::Connect(ConnectResult { time_ms: 1_795_252_387_747, ..CONNECTED })),
        r#"{"id":1,"connect":{"client":"101fe4fd","version":"6.9.1 OSS","ping":2,"pong":true,"time":1795252387747}}"#
    );
    assert_eq!(
        reply_json(1, &ErrorCode::TokenExpired.into()),
        r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#
    );
    assert_eq!(
        reply_json(1, &ErrorCode::Internal.into()),
        r#"{"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}"#
    );
    assert_eq!(reply_json(2, &Reply::Refresh { ttl_s: Some(58) }), r#"{"id":2,"refresh":{"expires":true,"ttl":58}}"#);
}

#[test]
fn subscribe_replies() {
    let subscribe = |result| reply_json(2, &Reply::Subscribe(result));
    assert_eq!(subscribe(SubscribeResult::default()), r#"{"id":2,"subscribe":{}}"#);
    assert_eq!(
        subscribe(SubscribeResult { offset: Offset(3), ..RECOVERABLE }),
        r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"7","offset":3,"positioned":true}}"#
    );
    let tags = [("k".into(), "v".into())];
    let missed =
        [Publication { tags: &tags, ..at(b"{\"i\":2}", 2) }, Publication { tags: &tags, ..at(b"{\"i\":3}", 3) }];
    let recovered = SubscribeResult {
        publications: &missed,
        recovered: true,
        offset: Offset(1),
        was_recovering: true,
        ..RECOVERABLE
    };
    assert_eq!(
        subscribe(recovered),
        concat!(
            r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"7","publications":[{"data":{"i":2},"offset":2,"#,
            r#""tags":{"k":"v"}},{"data":{"i":3},"offset":3,"tags":{"k":"v"}}],"recovered":true,"offset":1,"#,
            r#""positioned":true,"was_recovering":true}}"#
        )
    );
    assert_eq!(
        subscribe(SubscribeResult { offset: Offset(9), was_recovering: true, ..RECOVERABLE }),
        concat!(
            r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"7","offset":9,"positioned":true,"#,
            r#""was_recovering":true}}"#
        )
    );
}

#[test]
fn other_replies() {
    assert_eq!(reply_json(3, &Reply::Publish), r#"{"id":3,"publish":{}}"#);
    assert_eq!(reply_json(3, &Reply::Unsubscribe), r#"{"id":3,"unsubscribe":{}}"#);
    assert_eq!(reply_json(3, &Reply::Rpc { data: Some(b"{}") }), r#"{"id":3,"rpc":{"data":{}}}"#);
    assert_eq!(reply_json(3, &Reply::Rpc { data: None }), r#"{"id":3,"rpc":{}}"#);
    assert_eq!(
        reply_json(3, &Reply::SubRefresh { ttl_s: Some(59) }),
        r#"{"id":3,"sub_refresh":{"expires":true,"ttl":59}}"#
    );
    let info = ClientInfo { user: "u1", client: "9c6f", connection_info: Some(b"{\"n\":1}"), channel_info: None };
    assert_eq!(
        reply_json(3, &Reply::Presence(&[info])),
        r#"{"id":3,"presence":{"presence":{"9c6f":{"user":"u1","client":"9c6f","conn_info":{"n":1}}}}}"#
    );
    assert_eq!(
        reply_json(3, &Reply::PresenceStats { client_count: 1, user_count: 1 }),
        r#"{"id":3,"presence_stats":{"num_clients":1,"num_users":1}}"#
    );
    let tags = [("k".into(), "v".into())];
    let publications = [
        Publication { tags: &tags, epoch: Some(Epoch(7)), ..at(b"{\"i\":1}", 1) },
        Publication { tags: &tags, ..at(b"{\"i\":2}", 2) },
    ];
    let history = HistoryResult { publications: &publications, epoch: Some(Epoch(7)), offset: Offset(3) };
    assert_eq!(
        reply_json(4, &Reply::History(history)),
        concat!(
            r#"{"id":4,"history":{"publications":[{"data":{"i":1},"offset":1,"tags":{"k":"v"},"epoch":"7"},"#,
            r#"{"data":{"i":2},"offset":2,"tags":{"k":"v"}}],"epoch":"7","offset":3}}"#
        )
    );
}

#[test]
fn zeros_that_are_told_all_the_same() {
    assert_eq!(
        reply_json(4, &Reply::History(HistoryResult::default())),
        r#"{"id":4,"history":{"publications":[],"epoch":"","offset":0}}"#
    );
    assert_eq!(reply_json(4, &Reply::Presence(&[])), r#"{"id":4,"presence":{"presence":{}}}"#);
    assert_eq!(
        reply_json(4, &Reply::PresenceStats { client_count: 0, user_count: 0 }),
        r#"{"id":4,"presence_stats":{"num_clients":0,"num_users":0}}"#
    );
    assert_eq!(
        push_json("c", &Push::Join(ClientInfo::default())),
        r#"{"push":{"channel":"c","join":{"info":{"user":"","client":""}}}}"#
    );
    assert_eq!(reply_json(4, &Reply::Refresh { ttl_s: Some(0) }), r#"{"id":4,"refresh":{"expires":true,"ttl":0}}"#);
    assert_eq!(reply_json(4, &Reply::Refresh { ttl_s: None }), r#"{"id":4,"refresh":{}}"#);
}

#[test]
fn pushes() {
    let info = ClientInfo { user: "u1", client: "9c6f", connection_info: Some(b"{\"n\":1}"), channel_info: None };
    let by_client = Publication { info: Some(info), ..at(b"{\"a\":1}", 0) };
    let tags = [("t".into(), "1".into())];
    let tagged = Publication { tags: &tags, ..at(b"{\"live\":1}", 10) };
    let left = ClientInfo { user: "u2", client: "3186", ..ClientInfo::default() };
    let subscribed = Push::Subscribe {
        recoverable: true,
        epoch: Some(Epoch(7)),
        offset: Offset(0),
        positioned: true,
        data: Some(b"{\"x\":1}"),
    };
    let expected: [(&str, Push<'_>, &str); 8] = [
        (
            "plain",
            Push::Publication(by_client),
            concat!(
                r#"{"push":{"channel":"plain","pub":{"data":{"a":1},"info":{"user":"u1","client":"9c6f","#,
                r#""conn_info":{"n":1}}}}}"#
            ),
        ),
        (
            "hh:a",
            Push::Publication(tagged),
            r#"{"push":{"channel":"hh:a","pub":{"data":{"live":1},"offset":10,"tags":{"t":"1"}}}}"#,
        ),
        ("pp:a", Push::Leave(left), r#"{"push":{"channel":"pp:a","leave":{"info":{"user":"u2","client":"3186"}}}}"#),
        (
            "news",
            UnsubscribeCode::Server.into(),
            r#"{"push":{"channel":"news","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#,
        ),
        (
            "hh:dyn",
            subscribed,
            concat!(
                r#"{"push":{"channel":"hh:dyn","subscribe":{"recoverable":true,"epoch":"7","positioned":true,"#,
                r#""data":{"x":1}}}}"#
            ),
        ),
        ("", Push::Message { data: b"1" }, r#"{"push":{"message":{"data":1}}}"#),
        ("", Push::Refresh { ttl_s: Some(100) }, r#"{"push":{"refresh":{"expires":true,"ttl":100}}}"#),
        ("", DisconnectCode::InvalidToken.into(), r#"{"push":{"disconnect":{"code":3500,"reason":"invalid token"}}}"#),
    ];
    for (channel, push, line) in expected {
        assert_eq!(push_json(channel, &push), line);
    }
}

#[test]
fn with_deltas_every_payload_is_a_string() {
    let pushed = |data, offset| push_json("dd:a", &Push::Publication(Publication { data, ..at(b"", offset) }));
    assert_eq!(
        pushed(Data::Full(br#"{"text":"lorem","n":1}"#), 1),
        r#"{"push":{"channel":"dd:a","pub":{"data":"{\"text\":\"lorem\",\"n\":1}","offset":1}}}"#
    );
    assert_eq!(
        pushed(Data::Delta(b"2o\n2m@0,2:2}3486F9;"), 2),
        r#"{"push":{"channel":"dd:a","pub":{"data":"2o\n2m@0,2:2}3486F9;","offset":2,"delta":true}}}"#
    );
}

#[test]
fn a_unidirectional_stream() {
    let subs = [("user:#uni", RECOVERABLE)];
    let connected = Push::Connect(ConnectResult { pong: false, session: "4af8", subs: &subs, ..CONNECTED });
    let published = Push::Publication(Publication { epoch: Some(Epoch(7)), ..at(b"{\"x\":1}", 1) });
    let transport = Transport::EventStream(crate::protocol::sse::Delimiting::UntilClose);
    let mut batch = Batch::new(transport, 0);
    batch.push(Envelope::Bare, "", &connected);
    batch.push(Envelope::Bare, "user:#uni", &published);
    batch.ping();
    batch.push(Envelope::Bare, "", &DisconnectCode::InvalidToken.into());
    let expected = concat!(
        r#"data: {"connect":{"client":"101fe4fd","version":"6.9.1 OSS","subs":{"user:#uni":{"recoverable":true,"#,
        r#""epoch":"7","positioned":true}},"ping":2,"session":"4af8"}}"#,
        "\n\n",
        r#"data: {"channel":"user:#uni","pub":{"data":{"x":1},"offset":1,"epoch":"7"}}"#,
        "\n\n",
        "data: {}\n\n",
        r#"data: {"disconnect":{"code":3500,"reason":"invalid token"}}"#,
        "\n\n",
    );
    assert_eq!(batch.finish(), expected);
}

#[test]
fn protobuf() {
    // Connect with a token, and a subscription with recoverable and flag 1, in one frame.
    let connect = [b"\x16\x08\x01\x22\x12\x0a\x0c".as_slice(), &[b'x'; 12], b"\x22\x02js"].concat();
    let subscribe = b"\x0f\x08\x02\x2a\x0b\x0a\x05hh:pb\x50\x01\x70\x01";
    let frame = [&connect[..], subscribe].concat();
    let commands: Vec<_> = Commands::new(Format::Protobuf, &frame).map(Result::unwrap).collect();
    let connect = Connect { token: "x".repeat(12).into(), name: "js".into(), ..Connect::default() };
    let subscribe = Subscribe { channel: "hh:pb".into(), recoverable: true, flag: 1, ..Subscribe::default() };
    let expected =
        [Command { id: 1, method: Method::Connect(connect) }, Command { id: 2, method: Method::Subscribe(subscribe) }];
    assert_eq!(commands, expected);

    // The epoch of the capture has eight letters; so has this one.
    let mut frame = Vec::new();
    let result = SubscribeResult { epoch: Some(Epoch(12_345_678)), ..RECOVERABLE };
    push_reply(&mut frame, Format::Protobuf, 2, &Reply::Subscribe(result));
    push_reply(&mut frame, Format::Protobuf, 4, &Reply::Publish);
    push_ping(&mut frame, Format::Protobuf);
    assert_eq!(frame, b"\x12\x08\x02\x32\x0e\x18\x01\x32\x0812345678\x50\x01\x04\x08\x04\x42\x00\x00");

    let mut frame = Vec::new();
    let published = Push::Publication(at(b"{\"pb\":1}", 1));
    push_push(&mut frame, Format::Protobuf, Envelope::Wrapped, "hh:pb", &published);
    assert_eq!(frame, b"\x17\x22\x15\x12\x05hh:pb\x22\x0c\x22\x08{\"pb\":1}\x30\x01");
}
