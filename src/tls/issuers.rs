//! Identities, and who issues what they show.

#[cfg(feature = "acme")]
use std::sync::Arc;

use super::identity::{Identity, IdentityError};
#[cfg(feature = "acme")]
use super::issued::Issued;
use super::settings::Tls;

/// Makes the identities of all listeners. Those that ask for the same certificate share one: the authority checks a name
/// at whichever of them it reaches first (an address of IPv4 and one of IPv6 are two listeners), and counts every order.
#[derive(Debug, Default)]
pub struct Issuers {
    #[cfg(feature = "acme")]
    all: Vec<Arc<Issued>>,
}

impl Issuers {
    /// The identity that `settings` asks for. Blocks on files; makes the folder that an issued certificate is kept in.
    ///
    /// # Errors
    /// A file that is missing or of no use, or a folder that cannot be written to.
    pub fn identity(&mut self, settings: &Tls) -> Result<Identity, IdentityError> {
        #[cfg(feature = "acme")]
        if let Some(acme) = &settings.acme {
            let known = self.all.iter().find(|issued| issued.settings() == acme).cloned();
            let issued = match known {
                Some(issued) => issued,
                None => {
                    let issued = Arc::new(Issued::new(acme)?);
                    self.all.push(Arc::clone(&issued));
                    issued
                }
            };
            return Identity::resolved(settings, Arc::clone(&issued) as Arc<_>, issued.expires());
        }
        Identity::load(settings)
    }

    /// What is to be ordered and renewed.
    #[cfg(feature = "acme")]
    pub fn issued(&self) -> &[Arc<Issued>] {
        &self.all
    }
}

#[cfg(test)]
#[cfg(feature = "acme")]
mod tests {
    use super::*;
    use crate::tls::Acme;

    #[test]
    fn listeners_that_ask_for_the_same_certificate_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let asking = |domain: &str| Tls {
            certificates: Vec::new(),
            acme: Some(Acme {
                domains: vec![domain.to_owned()],
                contact: Vec::new(),
                cache: folder.path().join("acme"),
                directory: "https://acme.example/directory".to_owned(),
                directory_ca: None,
            }),
            client_ca: None,
        };
        let mut issuers = Issuers::default();
        for domain in ["a.example", "b.example", "a.example"] {
            assert_eq!(issuers.identity(&asking(domain)).unwrap().expires_unix(), 0);
        }
        let domains: Vec<_> = issuers.issued().iter().map(|issued| &issued.settings().domains[0]).collect();
        assert_eq!(domains, ["a.example", "b.example"]);
    }
}
