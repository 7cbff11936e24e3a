//! Where subscribers come in: a place, in the clear or over TLS.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::client::tickets::Tickets;
use crate::server::certificate;
use crate::server::place::Place;
use crate::wire::line::Line;

/// Where subscribers come in. A hub's other requests go to its place in the clear.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// Where to connect.
    pub(crate) place: Place,
    /// One for all connections, if they speak TLS.
    tls: Option<Arc<ClientConfig>>,
}

impl Door {
    /// A door in the clear.
    pub(crate) fn plain(place: &Place) -> Self {
        Self { place: place.clone(), tls: None }
    }

    /// A door behind which TLS is spoken. Every handshake is a full one.
    pub(crate) fn secure(place: &Place, config: ClientConfig) -> Self {
        Self { place: place.clone(), tls: Some(Arc::new(config)) }
    }

    /// The same, where a client resumes with a ticket that another one has got. In the clear nothing changes.
    pub(crate) fn resuming(&self) -> Self {
        let tls = self.tls.as_ref().map(|config| {
            let mut config = ClientConfig::clone(config);
            config.resumption = Resumption::store(Arc::new(Tickets::default()));
            Arc::new(config)
        });
        Self { tls, ..self.clone() }
    }

    /// What is spoken through `socket`, a nonblocking one that is on its way here.
    pub(crate) fn line(&self, socket: OwnedFd) -> Result<Line> {
        match &self.tls {
            None => Ok(Line::plain(socket)),
            Some(config) => Line::tls(socket, config, certificate::name()?).context("TLS"),
        }
    }
}
