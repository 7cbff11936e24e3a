//! The folder that an account's key and an issued certificate are kept in.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use sha2::{Digest as _, Sha256};

use super::settings::Acme;

/// The folder that an account's key and an issued certificate are kept in, where only the hub's user reads them. Several
/// certificates and authorities share it.
#[derive(Debug)]
pub(super) struct CacheFolder {
    certificate: PathBuf,
    account: PathBuf,
}

impl CacheFolder {
    /// Makes the folder of `settings`, unless it is there. Then its permissions are the operator's; those of files are ours.
    ///
    /// # Errors
    /// It cannot be made, or not be written to: then every start would order a certificate, until the authority has enough.
    pub(super) fn open(settings: &Acme) -> io::Result<Self> {
        let Acme { domains, contact, cache, directory, directory_ca: _ } = settings;
        DirBuilder::new().recursive(true).mode(0o700).create(cache)?;
        access(cache, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
        let first = domains.first().map_or("certificate", String::as_str);
        let certificate = cache.join(format!("{first}-{}.pem", short_digest(domains, directory)));
        let account = cache.join(format!("account-{}.key", short_digest(contact, directory)));
        Ok(Self { certificate, account })
    }

    /// The certificate's key, the certificate and those up to its root (PEM), if they are there.
    pub(super) fn certificate(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.certificate)
    }

    pub(super) fn keep_certificate(&self, pem: &[u8]) -> io::Result<()> {
        replace(&self.certificate, pem)
    }

    /// The account's key (PKCS#8), if it is there.
    pub(super) fn account(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.account)
    }

    pub(super) fn keep_account(&self, key: &[u8]) -> io::Result<()> {
        replace(&self.account, key)
    }
}

/// Tells apart what has a file of its own: other names, or another authority (its staging environment, say).
fn short_digest(texts: &[String], directory: &str) -> String {
    let mut hash = Sha256::new();
    for text in texts.iter().map(String::as_str).chain([directory]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

/// Writes a file anew, or leaves what is there: a key of which half is there is worse than none.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let write = || {
        // What a crash left behind may have been made by somebody else.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn asking(cache: &Path) -> Acme {
        Acme {
            domains: vec!["hub.example".to_owned(), "other.example".to_owned()],
            contact: Vec::new(),
            cache: cache.to_owned(),
            directory: "https://acme.example/directory".to_owned(),
            directory_ca: None,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_kept_is_there_again_and_only_its_owner_can_read_it() {
        let top = tempfile::tempdir().unwrap();
        let cache = top.path().join("deep").join("acme");
        let folder = CacheFolder::open(&asking(&cache)).unwrap();
        assert_eq!((folder.certificate().unwrap(), folder.account().unwrap()), (None, None));
        // Somebody else's, or what a crash has left.
        fs::write(folder.account.with_added_extension("new"), "half").unwrap();
        for content in [&b"first"[..], b"second"] {
            folder.keep_certificate(content).unwrap();
            folder.keep_account(content).unwrap();
            let again = CacheFolder::open(&asking(&cache)).unwrap();
            assert_eq!(again.certificate().unwrap().unwrap(), content);
            assert_eq!(again.account().unwrap().unwrap(), content);
        }
        assert_eq!((mode(&cache), mode(&folder.certificate), mode(&folder.account)), (0o700, 0o600, 0o600));
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 2);
        assert!(folder.certificate.file_name().unwrap().to_str().unwrap().starts_with("hub.example-"));
    }

    #[test]
    fn other_names_and_other_authorities_have_files_of_their_own() {
        let top = tempfile::tempdir().unwrap();
        let usual = CacheFolder::open(&asking(top.path())).unwrap();
        let staging = Acme { directory: "https://staging.example/directory".to_owned(), ..asking(top.path()) };
        let staging = CacheFolder::open(&staging).unwrap();
        let fewer = CacheFolder::open(&Acme { domains: vec!["hub.example".to_owned()], ..asking(top.path()) }).unwrap();
        assert_ne!(usual.certificate, staging.certificate);
        assert_ne!(usual.account, staging.account);
        assert_ne!(usual.certificate, fewer.certificate);
        assert_eq!(usual.account, fewer.account);
    }

    #[test]
    fn a_place_where_nothing_can_be_kept_is_told_at_once() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(CacheFolder::open(&asking(&file)).is_err());
        assert!(CacheFolder::open(&asking(&file.join("acme"))).is_err());
    }
}
