//! `[hooks]`: the application's backend, asked and told over HTTP.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::api::Api;
use super::hook_url::HookUrl;
use super::units::{ByteSize, Span};

/// `[hooks]`. A hook without a URL is off.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Hooks {
    /// Asked who a client without a token is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<HookUrl>,
    /// Asked whether a connection that is about to expire may go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<HookUrl>,
    /// Asked whether a client may subscribe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<HookUrl>,
    /// Asked whether a client may publish, and what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<HookUrl>,
    /// Asked whether a subscription that is about to expire may go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_refresh: Option<HookUrl>,
    /// Answers the RPC calls of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<HookUrl>,
    /// Told that a subscription ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<HookUrl>,
    /// Told that a connection ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnect: Option<HookUrl>,
    /// Time for one call, waiting for a free place included. Default `"1s"`.
    pub timeout: Span,
    /// Calls under way at the same time, over all hooks. Default 256.
    pub concurrency: usize,
    /// What calls that wait for a free place may hold; the same again for events that are not delivered yet.
    /// Default `"64MiB"`.
    pub queue: ByteSize,
    /// The largest answer. Default `"256KiB"`.
    pub answer: ByteSize,
    /// Headers of the client's request that are passed on, in lower case. Default: none.
    pub headers: Vec<String>,
    /// Headers that a client may send in its `connect` command, in lower case. Default: none.
    pub emulated_headers: Vec<String>,
    /// Signs what is sent. Default: nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Authorities that the backend's certificate is from. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Whether equal `connect` and `refresh` calls under way at the same time are made once. Default false.
    pub coalesce: bool,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            connect: None,
            refresh: None,
            subscribe: None,
            publish: None,
            sub_refresh: None,
            rpc: None,
            unsubscribe: None,
            disconnect: None,
            timeout: Span::secs(1),
            concurrency: 256,
            queue: ByteSize::mib(64),
            answer: ByteSize::kib(256),
            headers: Vec::new(),
            emulated_headers: Vec::new(),
            secret: None,
            secret_file: None,
            ca_file: None,
            coalesce: false,
        }
    }
}

impl Hooks {
    /// Each hook with its key and its URL, in the order of the documentation.
    pub fn urls(&self) -> [(&'static str, Option<&HookUrl>); 8] {
        [
            ("connect", self.connect.as_ref()),
            ("refresh", self.refresh.as_ref()),
            ("subscribe", self.subscribe.as_ref()),
            ("publish", self.publish.as_ref()),
            ("sub_refresh", self.sub_refresh.as_ref()),
            ("rpc", self.rpc.as_ref()),
            ("unsubscribe", self.unsubscribe.as_ref()),
            ("disconnect", self.disconnect.as_ref()),
        ]
    }

    /// Whether any hook has a URL.
    pub fn any(&self) -> bool {
        self.urls().iter().any(|(_, url)| url.is_some())
    }
}

/// Never shows the secret: this struct ends up in logs.
impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<_> = self.urls().into_iter().filter_map(|(hook, url)| Some((hook, url?.to_string()))).collect();
        f.debug_struct("Hooks")
            .field("on", &on)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("queue", &self.queue)
            .field("answer", &self.answer)
            .field("headers", &self.headers)
            .field("emulated_headers", &self.emulated_headers)
            .field("secret", &self.secret.as_ref().map(|_| Api::REDACTED))
            .field("secret_file", &self.secret_file)
            .field("ca_file", &self.ca_file)
            .field("coalesce", &self.coalesce)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_has_the_secret() {
        let hooks = Hooks { secret: Some("s3cret".to_owned()), ..Hooks::default() };
        let shown = format!("{hooks:?}");
        assert!(!shown.contains("s3cret") && shown.contains("(redacted)"), "{shown}");
    }
}
