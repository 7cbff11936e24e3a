//! A client: what it is told is compared with the model, message by message, as it comes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use super::delta;
use super::topic::{Claim, Event, Recovery, Topic, Wish};
use super::wire::{Command, Format, Message, Reply, Subscribed, Told};
use crate::client::{Heard, WebSocket};

/// A client over all its connections.
#[derive(Debug)]
pub(super) struct Client {
    format: Format,
    pub(super) connection: Option<Connection>,
    /// Where it was in each topic when it was told last: epoch and offset.
    positions: BTreeMap<usize, (String, u64)>,
    /// What it was subscribed to when it was cut.
    pub(super) left: BTreeMap<usize, Wish>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: WebSocket,
    pub(super) id: String,
    last_command: u32,
    /// What came in one frame with what was read last.
    heard: VecDeque<Message>,
    pub(super) subscriptions: BTreeMap<usize, Subscription>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    channel: &'static str,
    wish: Wish,
    /// The place in the topic's events of what comes next.
    next: usize,
    has_position: bool,
    gets_deltas: bool,
    /// What it was told last, as it has it in hand.
    base: Option<Vec<u8>>,
}

/// A subscription that is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) topic: usize,
    pub(super) wish: Wish,
    pub(super) claim: Claim,
    /// The last offset there may be when it joins.
    pub(super) joins: RangeInclusive<u64>,
}

impl Client {
    pub(super) fn new(format: Format) -> Self {
        Self { format, connection: None, positions: BTreeMap::new(), left: BTreeMap::new() }
    }

    pub(super) fn is_subscribed(&self, topic: usize) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.subscriptions.contains_key(&topic))
    }

    /// Where it connects to.
    pub(super) fn target(&self) -> &'static str {
        match self.format {
            Format::Json => "/connection/websocket",
            Format::Protobuf => "/connection/websocket?cf_protocol=protobuf",
        }
    }

    /// Whether it can say a payload that is JSON or not.
    pub(super) fn can_publish(&self, is_json: bool) -> bool {
        is_json || self.format == Format::Protobuf
    }

    /// What it claims about a topic.
    fn claimed(&self, topic: usize, claim: Claim, topics: &[Topic]) -> Option<(String, u64)> {
        let known = self.positions.get(&topic);
        let (epoch, offset) = known.cloned().unwrap_or_default();
        match claim {
            Claim::None => None,
            Claim::Own => known.cloned(),
            Claim::Behind(count) => known.map(|_| (epoch, offset.saturating_sub(count))),
            Claim::Ahead(count) => known.map(|_| (epoch, offset + count)),
            Claim::PastEpoch => {
                let past = topics[topic].past_epochs.last();
                Some((past.map_or_else(|| "1".to_owned(), Clone::clone), offset))
            }
            Claim::NoEpoch => Some((String::new(), offset)),
        }
    }

    /// Subscribes in one frame, in which it connects first if `socket` is a new one, or says something else.
    #[track_caller]
    pub(super) fn subscribe(
        &mut self,
        socket: Option<WebSocket>,
        said: Option<Command<'_>>,
        wanted: &[Wanted],
        topics: &[Topic],
    ) {
        let claims: Vec<_> = wanted.iter().map(|one| self.claimed(one.topic, one.claim, topics)).collect();
        let mut commands = Vec::new();
        if let Some(socket) = socket {
            let (heard, subscriptions) = (VecDeque::new(), BTreeMap::new());
            self.connection = Some(Connection { socket, id: String::new(), last_command: 0, heard, subscriptions });
            commands.push(Command::Connect);
        }
        commands.extend(said);
        let before = commands.len();
        commands.extend(wanted.iter().zip(&claims).map(|(one, claim)| Command::Subscribe {
            channel: topics[one.topic].rules.name,
            wish: one.wish,
            recover: claim.as_ref().map(|(epoch, offset)| (epoch.as_str(), *offset)),
        }));
        let first = self.say(&commands);
        for _ in &commands {
            let (id, reply) = self.reply(topics);
            match (id - first).checked_sub(before as u32) {
                None => match reply {
                    Reply::Connected(client) => self.connection.as_mut().unwrap().id = client,
                    Reply::Done => {}
                    Reply::Error(_) | Reply::Subscribed(_) => panic!("refused: {reply:?}"),
                },
                Some(place) => {
                    let (wanted, claim) = (&wanted[place as usize], claims[place as usize].as_ref());
                    self.take_subscription(wanted, claim, reply, topics);
                }
            }
        }
    }

    /// Sends commands in one frame; told is the id of the first of them.
    fn say(&mut self, commands: &[Command<'_>]) -> u32 {
        let connection = self.connection.as_mut().expect("it is connected");
        let first = connection.last_command + 1;
        connection.last_command += commands.len() as u32;
        let commands: Vec<_> = (first..).zip(commands.iter().cloned()).collect();
        self.format.send(&mut connection.socket, &commands);
        first
    }

    /// Says one thing, and takes in all that comes before it is answered.
    #[track_caller]
    pub(super) fn ask(&mut self, command: Command<'_>, topics: &[Topic]) -> Reply {
        let asked = self.say(&[command]);
        let (id, reply) = self.reply(topics);
        assert_eq!(id, asked, "{reply:?}");
        reply
    }

    #[track_caller]
    fn reply(&mut self, topics: &[Topic]) -> (u32, Reply) {
        loop {
            match self.hear() {
                Message::Reply(id, reply) => return (id, reply),
                Message::Publication(channel, told) => self.take_publication(&channel, &told, topics),
            }
        }
    }

    #[track_caller]
    fn hear(&mut self) -> Message {
        let connection = self.connection.as_mut().expect("it is connected");
        if connection.heard.is_empty() {
            connection.heard.extend(self.format.messages(&connection.socket.hear()));
        }
        connection.heard.pop_front().expect("a frame says something")
    }

    /// The reply to a subscription against the model.
    #[track_caller]
    fn take_subscription(&mut self, wanted: &Wanted, claim: Option<&(String, u64)>, reply: Reply, topics: &[Topic]) {
        let Wanted { topic: place, wish, joins, .. } = wanted;
        let topic = &topics[*place];
        let channel = topic.rules.name;
        let terms = Terms::new(topic, *wish, claim.is_some());
        // Without a word about recovery in the topic's rules it is as if the client had not asked.
        let claim = claim.filter(|_| terms.recoverable);
        let missed_at = |joined: u64| claim.and_then(|(epoch, offset)| topic.missed(epoch, *offset, joined));
        let told = match reply {
            Reply::Error(112) => {
                assert!(wish.refuses_unrecovered && claim.is_some(), "{channel}: unrecoverable, and nobody has asked");
                assert!(
                    joins.clone().any(|joined| missed_at(joined).is_none()),
                    "{channel}: it could have recovered: {claim:?}"
                );
                return;
            }
            Reply::Subscribed(told) => told,
            other => panic!("{channel}: not subscribed: {other:?}"),
        };
        let is_stream = topic.rules.recovery != Recovery::Cache;
        // Where it joined is where its live publications begin.
        let joined = match claim {
            _ if !terms.positioned => *joins.end(),
            Some((_, offset)) if told.recovered && is_stream => offset + told.publications.len() as u64,
            Some(_) | None => told.offset,
        };
        assert!(joins.contains(&joined), "{channel}: joined at {joined}, not in {joins:?}: {claim:?} {told:?}");
        let missed = missed_at(joined);
        let offset = match (terms.positioned, claim) {
            (false, _) => 0,
            (true, Some((_, offset))) if missed.is_some() && is_stream => *offset,
            (true, _) => joined,
        };
        let Subscribed { recoverable, positioned, ref epoch, offset: told_offset, .. } = told;
        assert_eq!((recoverable, positioned), (terms.recoverable, terms.positioned), "{channel}: {told:?}");
        assert_eq!(
            (told.was_recovering, told.recovered),
            (claim.is_some(), missed.is_some()),
            "{channel}: {claim:?} {told:?}"
        );
        assert_eq!((told_offset, told.delta), (offset, terms.delta), "{channel}: {claim:?} {told:?}");
        assert_eq!(epoch, if terms.positioned { &topic.epoch } else { "" });
        assert!(
            !(wish.refuses_unrecovered && claim.is_some() && missed.is_none()),
            "{channel}: it wanted an error: {told:?}"
        );
        let missed = missed.unwrap_or_default();
        let mut subscription = Subscription {
            channel,
            wish: *wish,
            next: topic.live_from(joined),
            has_position: terms.positioned,
            gets_deltas: terms.delta,
            base: None,
        };
        assert_eq!(told.publications.len(), missed.len(), "{channel}: {claim:?} {told:?}");
        for (told, event) in told.publications.iter().zip(missed) {
            subscription.check(self.format, told, event);
        }
        if subscription.has_position {
            self.positions.insert(*place, (topic.epoch.clone(), joined));
        }
        self.connection.as_mut().unwrap().subscriptions.insert(*place, subscription);
    }

    /// A live publication against the model: it is the next one.
    #[track_caller]
    fn take_publication(&mut self, channel: &str, told: &Told, topics: &[Topic]) {
        let place = topics.iter().position(|topic| topic.rules.name == channel).expect("a topic that there is");
        let subscriptions = &mut self.connection.as_mut().unwrap().subscriptions;
        let subscription = subscriptions.get_mut(&place);
        let subscription = subscription.unwrap_or_else(|| panic!("{channel}: it does not subscribe to it: {told:?}"));
        let event = topics[place].events.get(subscription.next);
        let event = event.unwrap_or_else(|| panic!("{channel}: it was told already, or never published: {told:?}"));
        subscription.check(self.format, told, event);
        subscription.next += 1;
        if let (true, Some(offset)) = (subscription.has_position, event.offset) {
            self.positions.insert(place, (topics[place].epoch.clone(), offset));
        }
    }

    /// Takes in all that it is to get of what was published.
    #[track_caller]
    pub(super) fn read(&mut self, topics: &[Topic]) {
        let lacks = |connection: &Connection| {
            connection.subscriptions.iter().any(|(&place, one)| one.next < topics[place].events.len())
        };
        while self.connection.as_ref().is_some_and(lacks) {
            match self.hear() {
                Message::Publication(channel, told) => self.take_publication(&channel, &told, topics),
                Message::Reply(id, reply) => panic!("nothing was asked: {id} {reply:?}"),
            }
        }
    }

    /// It wants a topic no more. What is on its way to it may come until that is answered.
    #[track_caller]
    pub(super) fn unsubscribe(&mut self, topic: usize, topics: &[Topic]) {
        let reply = self.ask(Command::Unsubscribe { channel: topics[topic].rules.name }, topics);
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        self.connection.as_mut().unwrap().subscriptions.remove(&topic);
    }

    /// Nothing was sent to it but what it has read.
    #[track_caller]
    pub(super) fn assert_nothing_came(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        assert!(connection.heard.is_empty(), "{:?}", connection.heard);
        connection.socket.assert_nothing_came();
    }

    /// Its connection ends. Its subscriptions are what it comes back to.
    pub(super) fn cut(&mut self) -> Option<WebSocket> {
        let connection = self.connection.take()?;
        self.left = connection.subscriptions.iter().map(|(&topic, one)| (topic, one.wish)).collect();
        Some(connection.socket)
    }

    /// It closes, and takes in what comes before that is answered.
    #[track_caller]
    pub(super) fn close(&mut self, topics: &[Topic]) {
        let Some(connection) = &mut self.connection else { return };
        connection.socket.send_close(1000);
        loop {
            let heard = self.connection.as_mut().unwrap().socket.hear();
            if let Heard::Close(code) = heard {
                assert_eq!(code.map(|(code, _)| code), Some(1000));
                break;
            }
            for message in self.format.messages(&heard) {
                let Message::Publication(channel, told) = message else { panic!("nothing was asked: {message:?}") };
                self.take_publication(&channel, &told, topics);
            }
        }
        self.cut();
    }

    /// The hub ends: it is told all that was published, and then to come back.
    #[track_caller]
    pub(super) fn is_told_to_come_back(&mut self, topics: &[Topic]) {
        self.read(topics);
        let Some(mut socket) = self.cut() else { return };
        assert_eq!(socket.closed_with(), 3001);
    }
}

/// What the rules of a topic make of a wish.
struct Terms {
    recoverable: bool,
    positioned: bool,
    delta: bool,
}

impl Terms {
    fn new(topic: &Topic, wish: Wish, recovers: bool) -> Self {
        let keeps = topic.rules.size > 0;
        let (recoverable, positioned) = match topic.rules.recovery {
            Recovery::Off => (false, false),
            Recovery::Asked => (wish.recoverable || recovers, wish.positioned || wish.recoverable || recovers),
            Recovery::Always | Recovery::Cache => (true, true),
        };
        Self {
            recoverable: keeps && recoverable,
            positioned: keeps && positioned,
            delta: wish.delta && topic.rules.delta,
        }
    }
}

impl Subscription {
    /// One publication, as it was told, is this one.
    #[track_caller]
    fn check(&mut self, format: Format, told: &Told, event: &Event) {
        let channel = self.channel;
        let expected = (event.offset.unwrap_or(0), &event.publisher);
        assert_eq!((told.offset, &told.publisher), expected, "{channel}: {told:?}, and not {event:?}");
        assert!(self.gets_deltas || !told.is_delta, "{channel}: a delta that nobody asked for: {told:?}");
        let data = match format {
            // Where deltas were promised, all data is a string.
            Format::Json if self.gets_deltas => serde_json::from_slice::<String>(&told.data).unwrap().into_bytes(),
            Format::Json | Format::Protobuf => told.data.clone(),
        };
        let data = match (&self.base, told.is_delta) {
            (_, false) => data,
            (Some(base), true) => delta::apply(base, &data),
            (None, true) => panic!("{channel}: a delta to nothing: {told:?}"),
        };
        match format {
            Format::Json => event.payload.assert_json(&data, self.gets_deltas),
            Format::Protobuf => assert_eq!(data, event.payload.bytes),
        }
        self.base = Some(data);
    }
}
