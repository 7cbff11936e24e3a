//! Why the server took a channel from a client: the closed table of the protocol.

use super::push::Push;

/// Why the server took a channel from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnsubscribeCode {
    /// The operator, or the backend, wanted it so.
    Server,
    /// The client missed something; it subscribes again and recovers.
    InsufficientState,
    /// The token of the subscription was not renewed in time.
    Expired,
    /// What the client knows is void: it forgets its token and its position, and subscribes again.
    StateInvalidated,
}

impl UnsubscribeCode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Server, Self::InsufficientState, Self::Expired, Self::StateInvalidated];

    /// Its number.
    pub const fn code(self) -> u32 {
        match self {
            Self::Server => 2000,
            Self::InsufficientState => 2500,
            Self::Expired => 2501,
            Self::StateInvalidated => 2502,
        }
    }

    /// What the push says.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Server => "server unsubscribe",
            Self::InsufficientState => "insufficient state",
            Self::Expired => "subscription expired",
            Self::StateInvalidated => "state invalidated",
        }
    }

    /// Whether SDKs leave it at that; else they subscribe again.
    pub const fn is_terminal(self) -> bool {
        self.code() < 2500
    }
}

impl From<UnsubscribeCode> for Push<'_> {
    fn from(unsubscribe: UnsubscribeCode) -> Self {
        Self::Unsubscribe { code: unsubscribe.code(), reason: unsubscribe.reason() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_wish_is_the_last_word() {
        let terminal: Vec<_> = UnsubscribeCode::ALL.into_iter().filter(|code| code.is_terminal()).collect();
        assert_eq!(terminal, [UnsubscribeCode::Server]);
    }
}
