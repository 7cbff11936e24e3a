//! `presence`, `presence_stats`, `channels`, `info`: who is where, and this node.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::call::{Answered, result};
use super::failure::ApiError;
use super::field::{ShownClient, parse, topic_name};
use crate::admin::counters::Protocol;
use crate::api::glob::Glob;
use crate::api::surface::Surface;
use crate::hub::{Attending, Hub, Member, Roll, TopicId, TopicName};

/// Members of one answer, and what they hold in memory: 100,000 anonymous ones are 13 MB of JSON.
pub const PRESENCE_LIMIT: Roll = Roll { members: 100_000, bytes: 32 * 1024 * 1024 };

/// Members whose answer is written by the thread of a worker: more would keep its connections waiting.
const WRITTEN_HERE: usize = 1000;

/// Topics of one answer.
pub const CHANNELS_LIMIT: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceRequest {
    channel: Option<String>,
}

/// Those who are there, in no order.
#[derive(Serialize)]
struct Presence {
    #[serde(serialize_with = "by_client")]
    presence: Vec<Arc<Member>>,
}

fn by_client<S: Serializer>(members: &[Arc<Member>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(members.iter().map(|member| (member.client.to_string(), ShownClient::new(member))))
}

pub(super) async fn presence(surface: &Surface, params: &[u8]) -> Answered {
    let name = attended(surface, params)?;
    let Some(topic) = surface.hub.find(&name) else { return result(&Presence { presence: Vec::new() }) };
    if surface.hub.presence().attending(topic.id()).clients <= WRITTEN_HERE {
        return list(&surface.hub, topic.id());
    }
    let hub = Arc::clone(&surface.hub);
    // Moved in: while the topic is held, it stays the one of its name.
    let written = tokio::task::spawn_blocking(move || list(&hub, topic.id()));
    written.await.unwrap_or_else(|_| Err(ApiError::internal("the hub ends").into()))
}

/// All who are in a topic, if they are not too many.
fn list(hub: &Hub, topic: TopicId) -> Answered {
    let members = hub.presence().members(topic, PRESENCE_LIMIT).map_err(|Roll { members, bytes }| {
        let Roll { members: most, bytes: most_bytes } = PRESENCE_LIMIT;
        ApiError::not_available(format!(
            "{members} are there, with {bytes} bytes: at most {most} with {most_bytes} are listed, presence_stats counts any"
        ))
    })?;
    result(&Presence { presence: members })
}

pub(super) fn presence_stats(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Serialize)]
    struct PresenceStats {
        num_clients: usize,
        num_users: usize,
    }
    let name = attended(surface, params)?;
    let topic = surface.hub.find(&name);
    let Attending { clients, users } =
        topic.map_or_else(Attending::default, |topic| surface.hub.presence().attending(topic.id()));
    result(&PresenceStats { num_clients: clients, num_users: users })
}

/// The topic of a request, if its rules say that who is there is known.
fn attended(surface: &Surface, params: &[u8]) -> Result<TopicName, super::failure::Failure> {
    let request: PresenceRequest = parse(params)?;
    let name = topic_name(surface, request.channel.as_deref())?;
    if surface.hub.rules_of(&name).presence {
        Ok(name)
    } else {
        Err(ApiError::not_available("presence is off for this channel").into())
    }
}

/// Those with subscribers on this node, of whichever protocol.
pub(super) fn channels(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ChannelsRequest {
        pattern: Option<String>,
    }
    #[derive(Serialize)]
    struct Channels<'a> {
        channels: BTreeMap<&'a str, Channel>,
    }
    #[derive(Serialize)]
    struct Channel {
        num_clients: usize,
    }
    let request: ChannelsRequest = parse(params)?;
    let pattern = request.pattern.filter(|pattern| !pattern.is_empty());
    let glob = pattern.as_deref().map(Glob::new).transpose();
    let glob = glob.map_err(|error| ApiError::bad_request(format!("pattern: {error}")))?;
    let mut found: Vec<(TopicName, usize)> = Vec::new();
    surface.hub.each_topic(|topic| {
        let subscribers = topic.subscribers();
        let is_wanted = || glob.as_ref().is_none_or(|glob| glob.matches(topic.name().as_str()));
        // One more than may be told: then there are too many.
        if subscribers > 0 && found.len() <= CHANNELS_LIMIT && is_wanted() {
            found.push((topic.name().clone(), subscribers));
        }
    });
    if found.len() > CHANNELS_LIMIT {
        let detail = format!("more than {CHANNELS_LIMIT} channels match: a narrower pattern is needed");
        return Err(ApiError::bad_request(detail).into());
    }
    let channels = found.iter().map(|(name, num_clients)| (name.as_str(), Channel { num_clients: *num_clients }));
    result(&Channels { channels: channels.collect() })
}

#[derive(Serialize)]
struct Info<'a> {
    nodes: [Node<'a>; 1],
}

#[derive(Serialize)]
struct Node<'a> {
    uid: &'a str,
    name: &'a str,
    version: &'a str,
    num_clients: u64,
    num_users: usize,
    num_channels: usize,
    num_subs: usize,
    uptime: u64,
}

pub(super) fn info(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct InfoRequest {}
    let InfoRequest {} = parse(params)?;
    let census = surface.hub.census();
    let streams = [Protocol::Topic, Protocol::Endpoint, Protocol::Sse, Protocol::Centrifuge];
    let open = |protocol: Protocol| -> i64 {
        surface.counters.shards.iter().map(|shard| shard.connections[protocol.index()].get()).sum()
    };
    let node = Node {
        uid: &surface.node,
        name: "fanfare",
        version: env!("CARGO_PKG_VERSION"),
        num_clients: u64::try_from(streams.map(open).iter().sum::<i64>()).unwrap_or(0),
        // Those who are nobody in particular are no user.
        num_users: surface.hub.directory().len(),
        num_channels: census.topics,
        num_subs: census.subscriptions,
        uptime: surface.started.elapsed().as_secs(),
    };
    result(&Info { nodes: [node] })
}
