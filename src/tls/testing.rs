//! A client in memory, and certificates for it.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

pub(super) use self::authority::{Authority, Signed};
use super::channel::{Channel, Heard};
use super::settings::{Certificate, Tls};

#[path = "../../tests/integration/authority.rs"]
mod authority;

impl From<Signed> for Certificate {
    fn from(signed: Signed) -> Self {
        Self { certificate: signed.certificate, key: signed.key }
    }
}

/// `tls` with these certificates.
pub(super) fn settings(certificates: &[Signed]) -> Tls {
    Tls { certificates: certificates.iter().cloned().map(Certificate::from).collect(), acme: None, client_ca: None }
}

/// A client in memory, and the channel that it speaks to.
pub(super) struct Pair {
    pub(super) client: ClientConnection,
    pub(super) channel: Channel,
    /// What the channel has opened.
    pub(super) plain: Vec<u8>,
    /// What the client has opened, and whether it was told that nothing more comes.
    pub(super) heard: Vec<u8>,
    pub(super) heard_end: bool,
    /// Bytes that are handed over at once.
    pub(super) piece: usize,
}

impl Pair {
    pub(super) fn new(config: &Arc<ClientConfig>, channel: Channel, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { client, channel, plain: Vec::new(), heard: Vec::new(), heard_end: false, piece: usize::MAX }
    }

    /// Hands over what either has for the other, until neither has anything.
    pub(super) fn talk(&mut self) -> Result<Heard, rustls::Error> {
        let mut last = Heard::More;
        loop {
            let mut records = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut records).unwrap();
            }
            if records.is_empty() {
                return Ok(last);
            }
            let piece = self.piece.min(records.len());
            for records in records.chunks_mut(piece) {
                let mut out = Vec::new();
                let heard = self.channel.receive(records, &mut self.plain, &mut out);
                self.hear(&out)?;
                last = heard?;
            }
        }
    }

    /// Hands records to the client, which reads what is in them.
    pub(super) fn hear(&mut self, mut records: &[u8]) -> Result<(), rustls::Error> {
        while !records.is_empty() {
            self.client.read_tls(&mut records).unwrap();
            self.client.process_new_packets()?;
            // Ends with "would block", unless the connection was closed.
            self.heard_end = self.client.reader().read_to_end(&mut self.heard).is_ok();
        }
        Ok(())
    }

    pub(super) fn say(&mut self, plain: &[u8]) {
        self.client.writer().write_all(plain).unwrap();
    }
}
