//! The methods of the server API.

/// The methods of the server API: `POST /api/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiMethod {
    /// Publish to one topic.
    Publish,
    /// Publish to several.
    Broadcast,
    /// Publish one line of the body after the other, as they come.
    PublishStream,
    /// Subscribe a user's connections to a topic.
    Subscribe,
    /// Take a topic from a user's connections.
    Unsubscribe,
    /// End a user's connections.
    Disconnect,
    /// Prolong a user's connections, or let them expire.
    Refresh,
    /// Who is in a topic.
    Presence,
    /// How many are in a topic.
    PresenceStats,
    /// Read what is kept of a topic.
    History,
    /// Forget it.
    HistoryRemove,
    /// Topics with subscribers.
    Channels,
    /// Describe this node.
    Info,
    /// Call a procedure of an extension.
    Rpc,
    /// Several of these in one request.
    Batch,
    /// Shut a user out.
    BlockUser,
    /// Let it in again.
    UnblockUser,
    /// Make one token void.
    RevokeToken,
    /// Make all tokens of a user void that were issued before a time.
    InvalidateUserTokens,
    /// Of topics that are maps, which do not exist here.
    MapPublish,
    /// The same.
    MapRemove,
    /// The same.
    MapReadState,
    /// The same.
    MapReadStream,
    /// The same.
    MapStats,
    /// The same.
    MapClear,
    /// Of topics that poll a backend, which do not exist here.
    SharedPollPublish,
}

impl ApiMethod {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 26] = [
        Self::Publish,
        Self::Broadcast,
        Self::PublishStream,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Disconnect,
        Self::Refresh,
        Self::Presence,
        Self::PresenceStats,
        Self::History,
        Self::HistoryRemove,
        Self::Channels,
        Self::Info,
        Self::Rpc,
        Self::Batch,
        Self::BlockUser,
        Self::UnblockUser,
        Self::RevokeToken,
        Self::InvalidateUserTokens,
        Self::MapPublish,
        Self::MapRemove,
        Self::MapReadState,
        Self::MapReadStream,
        Self::MapStats,
        Self::MapClear,
        Self::SharedPollPublish,
    ];

    /// The last segment of its path, and its name in a batch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Broadcast => "broadcast",
            Self::PublishStream => "publish_stream",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Disconnect => "disconnect",
            Self::Refresh => "refresh",
            Self::Presence => "presence",
            Self::PresenceStats => "presence_stats",
            Self::History => "history",
            Self::HistoryRemove => "history_remove",
            Self::Channels => "channels",
            Self::Info => "info",
            Self::Rpc => "rpc",
            Self::Batch => "batch",
            Self::BlockUser => "block_user",
            Self::UnblockUser => "unblock_user",
            Self::RevokeToken => "revoke_token",
            Self::InvalidateUserTokens => "invalidate_user_tokens",
            Self::MapPublish => "map_publish",
            Self::MapRemove => "map_remove",
            Self::MapReadState => "map_read_state",
            Self::MapReadStream => "map_read_stream",
            Self::MapStats => "map_stats",
            Self::MapClear => "map_clear",
            Self::SharedPollPublish => "shared_poll_publish",
        }
    }

    /// The method of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}
