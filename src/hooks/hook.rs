//! The occasions on which the application's backend is asked or told something.

/// An occasion on which the backend is asked (the first six) or told (the last two) something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// A client without a token connects.
    Connect,
    /// A connection is about to expire.
    Refresh,
    /// A client wants to subscribe.
    Subscribe,
    /// A client wants to publish.
    Publish,
    /// A subscription is about to expire.
    SubRefresh,
    /// A client calls a method of the application.
    Rpc,
    /// A subscription ended.
    Unsubscribe,
    /// A connection ended.
    Disconnect,
}

impl Hook {
    /// All of them, in the order of [`Hook::index`].
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Refresh,
        Self::Subscribe,
        Self::Publish,
        Self::SubRefresh,
        Self::Rpc,
        Self::Unsubscribe,
        Self::Disconnect,
    ];

    /// Its place in [`Hook::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its key in `[hooks]`, and its label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refresh => "refresh",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::SubRefresh => "sub_refresh",
            Self::Rpc => "rpc",
            Self::Unsubscribe => "unsubscribe",
            Self::Disconnect => "disconnect",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hooks;

    #[test]
    fn hooks_stand_at_their_index_and_have_the_names_and_the_order_of_the_configuration() {
        let keys = Hooks::default().urls().map(|(key, _)| key);
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!((hook.index(), hook.label()), (index, keys[index]));
        }
    }
}
