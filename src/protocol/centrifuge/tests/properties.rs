//! What holds for any command, reply and push, and for any bytes at all.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use super::super::message_writer::{MessageWriter, push_message};
use super::schema::{self, without_zeros};
use super::*;

const TF: &str = r#"{"key":"lang","cmp":"eq","val":"en"}"#;

/// JSON payloads, so that both formats can tell them.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just("null".to_owned()),
        Just("{\"a\": [1, \"\\n\"]}".into()),
        "[0-9]{1,150}".prop_map(|digits| format!("\"{digits}\""))
    ]
    .prop_map(String::into_bytes)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z:#]{1,8}",
        "\\PC{0,200}",
        vec(any::<char>(), 0..4).prop_map(String::from_iter)
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300_u64, any::<u64>()]
}

/// The fields that commands and results are made of.
#[derive(Debug, Clone)]
struct Parts {
    texts: Vec<String>,
    payloads: Vec<Vec<u8>>,
    numbers: Vec<u64>,
    flags: Vec<bool>,
    tags: Vec<(Box<str>, Box<str>)>,
    maybe_payload: Option<Vec<u8>>,
    maybe_number: Option<u32>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let tags = proptest::collection::btree_map(text().prop_map(Into::into), text().prop_map(Into::into), 0..3);
    (
        vec(text(), 6),
        vec(payload(), 4),
        vec(number(), 4),
        vec(any::<bool>(), 8),
        tags.prop_map(|tags| tags.into_iter().collect()),
        option::of(payload()),
        option::of(any::<u32>()),
    )
        .prop_map(|(texts, payloads, numbers, flags, tags, maybe_payload, maybe_number)| Parts {
            texts,
            payloads,
            numbers,
            flags,
            tags,
            maybe_payload,
            maybe_number,
        })
}

impl Parts {
    fn maybe_payload(&self) -> Option<&[u8]> {
        self.maybe_payload.as_deref()
    }

    fn epoch(&self) -> ClaimedEpoch {
        self.maybe_number.map_or(ClaimedEpoch::Any, |number| ClaimedEpoch::Of(Epoch(number.into())))
    }

    fn subscribe(&self) -> Subscribe<'_> {
        Subscribe {
            channel: (&*self.texts[0]).into(),
            token: (&*self.texts[1]).into(),
            recover: self.flags[0],
            epoch: self.epoch(),
            offset: Offset(self.numbers[0]),
            data: self.maybe_payload(),
            positioned: self.flags[1],
            recoverable: self.flags[2],
            join_leave: self.flags[3],
            delta: (&*self.texts[2]).into(),
            tf: self.flags[4].then(|| Filter::from_json(TF)),
            flag: self.numbers[1].cast_signed(),
            kind: self.numbers[2] as i32,
        }
    }

    fn methods(&self) -> Vec<Method<'_>> {
        let text = |at: usize| std::borrow::Cow::Borrowed(&*self.texts[at]);
        let subs = vec![(text(3), Subscribe { channel: "".into(), ..self.subscribe() })];
        vec![
            Method::Connect(Connect {
                token: text(0),
                data: self.maybe_payload(),
                subs: if self.flags[4] { subs } else { vec![] },
                name: text(1),
                version: text(2),
                headers: if self.flags[5] { vec![(text(4), text(5))] } else { vec![] },
                flag: self.numbers[3].cast_signed(),
            }),
            Method::Subscribe(self.subscribe()),
            Method::Unsubscribe(Unsubscribe { channel: text(0) }),
            Method::Publish(Publish { channel: text(0), data: self.maybe_payload(), kind: self.numbers[0] as i32 }),
            Method::Presence(Presence { channel: text(0) }),
            Method::PresenceStats(Presence { channel: text(0) }),
            Method::History(History {
                channel: text(0),
                limit: self.numbers[0] as i32,
                since: self.flags[6].then(|| Since { offset: Offset(self.numbers[1]), epoch: self.epoch() }),
                reverse: self.flags[7],
            }),
            Method::Rpc(Rpc { data: self.maybe_payload(), method: text(0) }),
            Method::Send(Send { data: self.maybe_payload() }),
            Method::Refresh(Refresh { token: text(0) }),
            Method::SubRefresh(SubRefresh { channel: text(0), token: text(1), kind: self.numbers[0] as i32 }),
            Method::Ping,
        ]
    }

    fn publications(&self) -> Vec<Publication<'_>> {
        let info = self.info();
        let bare = Publication::new(Data::Value(&self.payloads[0]));
        let told = Publication {
            info: Some(info),
            offset: Offset(self.numbers[0]),
            tags: &self.tags,
            time_ms: self.numbers[1],
            epoch: self.maybe_number.map(|number| Epoch(number.into())),
            topic: self.maybe_number.map(|_| &self.texts[2][..]),
            ..Publication::new(Data::Value(&self.payloads[1]))
        };
        vec![bare, told].into_iter().filter(|_| self.flags[0]).collect()
    }

    fn info(&self) -> ClientInfo<'_> {
        ClientInfo {
            user: &self.texts[0],
            client: &self.texts[1],
            connection_info: self.maybe_payload(),
            channel_info: Some(&self.payloads[2]),
        }
    }

    fn subscribed<'a>(&'a self, publications: &'a [Publication<'a>]) -> SubscribeResult<'a> {
        SubscribeResult {
            ttl_s: self.maybe_number,
            recoverable: self.flags[1],
            epoch: self.maybe_number.map(|number| Epoch(number.into())),
            publications,
            recovered: self.flags[2],
            offset: Offset(self.numbers[2]),
            positioned: self.flags[3],
            data: self.maybe_payload(),
            was_recovering: self.flags[4],
            delta: self.flags[5],
        }
    }

    fn connected<'a>(&'a self, subs: &'a [(&'a str, SubscribeResult<'a>)]) -> ConnectResult<'a> {
        ConnectResult {
            client: &self.texts[0],
            version: &self.texts[1],
            ttl_s: self.maybe_number,
            data: self.maybe_payload(),
            subs,
            ping_s: self.numbers[0] as u32,
            pong: self.flags[6],
            session: &self.texts[2],
            node: &self.texts[3],
            time_ms: self.numbers[1],
        }
    }
}

/// Epochs of commands as they travel.
fn write_epoch(epoch: ClaimedEpoch, number: u32, fields: &mut MessageWriter<'_>) {
    match epoch {
        ClaimedEpoch::Any => {}
        ClaimedEpoch::Of(epoch) => fields.epoch("epoch", number, Some(epoch)),
        ClaimedEpoch::Foreign => fields.text("epoch", number, "_"),
    }
}

/// A signed number; JSON has a sign where Protobuf has a long varint.
fn signed(fields: &mut MessageWriter<'_>, format: Format, name: &str, number: u32, value: i64) {
    match format {
        Format::Json if value != 0 => fields.payload(name, number, Some(value.to_string().as_bytes())),
        Format::Json | Format::Protobuf => fields.number(name, number, value.cast_unsigned()),
    }
}

fn write_subscribe(subscribe: &Subscribe<'_>, format: Format, fields: &mut MessageWriter<'_>) {
    fields.text("channel", 1, &subscribe.channel);
    fields.text("token", 2, &subscribe.token);
    fields.flag("recover", 3, subscribe.recover);
    write_epoch(subscribe.epoch, 6, fields);
    fields.number("offset", 7, subscribe.offset.0);
    fields.payload("data", 8, subscribe.data);
    fields.flag("positioned", 9, subscribe.positioned);
    fields.flag("recoverable", 10, subscribe.recoverable);
    fields.flag("join_leave", 11, subscribe.join_leave);
    fields.text("delta", 12, &subscribe.delta);
    match (&subscribe.tf, format) {
        (None, _) => {}
        (Some(_), Format::Json) => fields.payload("tf", 13, Some(TF.as_bytes())),
        (Some(_), Format::Protobuf) => fields.message("tf", 13, |fields| {
            fields.text("key", 2, "lang");
            fields.text("cmp", 3, "eq");
            fields.text("val", 4, "en");
        }),
    }
    signed(fields, format, "flag", 14, subscribe.flag);
    signed(fields, format, "type", 15, subscribe.kind.into());
}

/// What an SDK would send.
fn command_bytes(format: Format, id: u32, method: &Method<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_message(&mut bytes, format, |command| {
        command.number("id", 1, id.into());
        match method {
            Method::Connect(connect) => command.message("connect", 4, |fields| {
                fields.text("token", 1, &connect.token);
                fields.payload("data", 2, connect.data);
                let subs = connect.subs.iter().map(|(channel, subscribe)| (&**channel, subscribe));
                fields.messages("subs", 3, subs, |subscribe, fields| write_subscribe(subscribe, format, fields));
                fields.text("name", 4, &connect.name);
                fields.text("version", 5, &connect.version);
                for (name, value) in &connect.headers {
                    fields.message("headers", 6, |entry| match format {
                        Format::Json => entry.keep_text(name, 0, value),
                        Format::Protobuf => {
                            entry.text("", 1, name);
                            entry.text("", 2, value);
                        }
                    });
                }
                signed(fields, format, "flag", 7, connect.flag);
            }),
            Method::Subscribe(subscribe) => {
                command.message("subscribe", 5, |fields| write_subscribe(subscribe, format, fields));
            }
            Method::Unsubscribe(body) => {
                command.message("unsubscribe", 6, |fields| fields.text("channel", 1, &body.channel));
            }
            Method::Publish(publish) => command.message("publish", 7, |fields| {
                fields.text("channel", 1, &publish.channel);
                fields.payload("data", 2, publish.data);
                signed(fields, format, "type", 3, publish.kind.into());
            }),
            Method::Presence(body) => command.message("presence", 8, |fields| fields.text("channel", 1, &body.channel)),
            Method::PresenceStats(body) => {
                command.message("presence_stats", 9, |fields| fields.text("channel", 1, &body.channel));
            }
            Method::History(history) => command.message("history", 10, |fields| {
                fields.text("channel", 1, &history.channel);
                signed(fields, format, "limit", 7, history.limit.into());
                if let Some(since) = &history.since {
                    fields.message("since", 8, |fields| {
                        fields.number("offset", 1, since.offset.0);
                        write_epoch(since.epoch, 2, fields);
                    });
                }
                fields.flag("reverse", 9, history.reverse);
            }),
            Method::Ping => command.message("ping", 11, |_| {}),
            Method::Send(send) => command.message("send", 12, |fields| fields.payload("data", 1, send.data)),
            Method::Rpc(rpc) => command.message("rpc", 13, |fields| {
                fields.payload("data", 1, rpc.data);
                fields.text("method", 2, &rpc.method);
            }),
            Method::Refresh(refresh) => {
                command.message("refresh", 14, |fields| fields.text("token", 1, &refresh.token))
            }
            Method::SubRefresh(refresh) => command.message("sub_refresh", 15, |fields| {
                fields.text("channel", 1, &refresh.channel);
                fields.text("token", 2, &refresh.token);
                signed(fields, format, "type", 3, refresh.kind.into());
            }),
            Method::Pong => {}
        }
    });
    bytes
}

/// Both formats of a message, as JSON.
fn both(write: impl Fn(&mut Vec<u8>, Format)) -> (Value, Vec<u8>) {
    let (mut json, mut protobuf) = (Vec::new(), Vec::new());
    write(&mut json, Format::Json);
    write(&mut protobuf, Format::Protobuf);
    assert!(!json.contains(&b'\n'));
    (without_zeros(serde_json::from_slice(&json).unwrap()), protobuf)
}

proptest! {
    #[test]
    fn json_and_protobuf_are_read_as_the_same_commands(all in vec((1..=u32::MAX, parts(), 0..12_usize), 1..5)) {
        for format in [Format::Json, Format::Protobuf] {
            let mut frame = Vec::new();
            let expected: Vec<Command<'_>> = all
                .iter()
                .map(|(id, parts, which)| Command { id: *id, method: parts.methods().swap_remove(*which) })
                .collect();
            for command in &expected {
                frame.extend(command_bytes(format, command.id, &command.method));
            }
            let commands: Vec<_> = Commands::new(format, &frame).map(Result::unwrap).collect();
            prop_assert_eq!(&commands, &expected);
        }
    }

    #[test]
    fn a_reply_says_the_same_in_both_formats(id in any::<u32>(), parts in parts()) {
        let publications = parts.publications();
        let infos = [parts.info()];
        let subscribed = parts.subscribed(&publications);
        let subs = [(&*parts.texts[4], subscribed)];
        let subs = if parts.flags[7] { &subs[..] } else { &[] };
        let epoch = parts.maybe_number.map(|number| Epoch(number.into()));
        let replies = [
            Reply::Error { code: 7, message: &parts.texts[0], temporary: parts.flags[0] },
            Reply::Connect(parts.connected(subs)),
            Reply::Subscribe(subscribed),
            Reply::Unsubscribe,
            Reply::Publish,
            Reply::Presence(&infos),
            Reply::PresenceStats { client_count: parts.numbers[0] as u32, user_count: parts.numbers[1] as u32 },
            Reply::History(HistoryResult { publications: &publications, epoch, offset: Offset(parts.numbers[0]) }),
            Reply::Rpc { data: parts.maybe_payload() },
            Reply::Refresh { ttl_s: parts.maybe_number },
            Reply::SubRefresh { ttl_s: parts.maybe_number },
        ];
        for reply in replies {
            let (json, protobuf) = both(|out, format| push_reply(out, format, id, &reply));
            prop_assert_eq!(schema::read(schema::REPLY, &protobuf).into_iter().map(without_zeros).collect::<Vec<_>>(), [json]);
        }
    }

    #[test]
    fn a_push_says_the_same_in_both_formats(channel in text(), parts in parts()) {
        let publications = parts.publications();
        let subs = [(&*parts.texts[4], parts.subscribed(&publications))];
        let subscribed = Push::Subscribe {
            recoverable: parts.flags[0],
            epoch: parts.maybe_number.map(|number| Epoch(number.into())),
            offset: Offset(parts.numbers[0]),
            positioned: parts.flags[1],
            data: parts.maybe_payload(),
        };
        let others = [
            Push::Join(parts.info()),
            Push::Leave(parts.info()),
            Push::Unsubscribe { code: 2000, reason: &parts.texts[0] },
            subscribed,
            Push::Message { data: &parts.payloads[0] },
            Push::Refresh { ttl_s: parts.maybe_number },
            Push::Disconnect { code: 3000, reason: &parts.texts[0] },
            Push::Connect(parts.connected(&subs)),
        ];
        let pushes = publications.iter().copied().map(Push::Publication).chain(others);
        for push in pushes {
            for (envelope, table) in [(Envelope::Wrapped, schema::REPLY), (Envelope::Bare, schema::PUSH)] {
                let (json, protobuf) = both(|out, format| push_push(out, format, envelope, &channel, &push));
                prop_assert_eq!(schema::read(table, &protobuf).into_iter().map(without_zeros).collect::<Vec<_>>(), [json]);
            }
        }
    }

    #[test]
    fn any_bytes_are_commands_or_malformed_once_at_the_end(
        frame in prop_oneof![vec(any::<u8>(), 0..60), "[\\{\\}\"a-z:,0-9 \n]{0,60}".prop_map(String::into_bytes)],
    ) {
        for format in [Format::Json, Format::Protobuf] {
            let commands: Vec<_> = Commands::new(format, &frame).collect();
            prop_assert!(!commands.is_empty());
            prop_assert!(commands[..commands.len() - 1].iter().all(Result::is_ok));
            let _ = Emulation::read(format, &frame);
        }
        for format in [Format::Json, Format::Protobuf] {
            let _ = Connect::read_bare(format, &frame);
        }
    }

    #[test]
    fn a_command_cut_anywhere_is_malformed(id in 1..=u32::MAX, parts in parts(), which in 0..12_usize, cut in any::<prop::sample::Index>()) {
        let method = &parts.methods()[which];
        for format in [Format::Json, Format::Protobuf] {
            let whole = command_bytes(format, id, method);
            let cut = &whole[..cut.index(whole.len())];
            prop_assert!(Commands::new(format, cut).last().unwrap().is_err());
        }
    }
}
