//! A channel beside the client of the same library, and certificates as they are found on disks.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use rustls::{AlertDescription, Error, HandshakeKind, ProtocolVersion};

use super::channel::{Channel, Heard, RECORD_BYTES};
use super::identity::{Identity, IdentityError, Reloaded};
use super::settings::Tls;
use super::testing::{Authority, Pair, Signed, settings};

fn pair_of(authority: &Authority, identity: &Identity, name: &str) -> Pair {
    let mut config = authority.client(None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Pair::new(&Arc::new(config), Channel::new(identity.config()).unwrap(), name)
}

fn usual() -> (Authority, Identity) {
    let authority = Authority::new();
    let identity = Identity::load(&settings(&[authority.sign("hub", &["hub.example"])])).unwrap();
    (authority, identity)
}

#[test]
fn bytes_pass_both_ways_in_both_versions_however_they_are_cut() {
    let (authority, identity) = usual();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for piece in [1, 7, 100, usize::MAX] {
            let config = authority.client_of(&[version], None);
            let mut pair = Pair::new(&Arc::new(config), Channel::new(identity.config()).unwrap(), "hub.example");
            pair.piece = piece;
            assert!(!pair.channel.is_established());
            assert_eq!(pair.talk(), Ok(Heard::More));
            assert!(pair.channel.is_established());
            assert_eq!(pair.client.protocol_version(), Some(version.version));
            let long: Vec<u8> = (0..40_000u32).map(|at| at as u8).collect();
            pair.say(&long);
            assert_eq!(pair.talk(), Ok(Heard::More));
            assert_eq!(pair.plain, long);
            assert_eq!(pair.channel.partial_bytes(), 0, "nothing is kept when all is opened");
            let mut sealed = Vec::new();
            for plain in long.chunks(RECORD_BYTES) {
                pair.channel.seal(plain, &mut sealed).unwrap();
            }
            pair.hear(&sealed).unwrap();
            assert_eq!(pair.heard, long);
        }
    }
}

#[test]
fn each_end_can_be_closed() {
    let (authority, identity) = usual();
    let mut pair = pair_of(&authority, &identity, "hub.example");
    assert_eq!(pair.talk(), Ok(Heard::More));
    pair.say(b"last words");
    pair.client.send_close_notify();
    assert_eq!(pair.talk(), Ok(Heard::End));
    assert_eq!(pair.plain, b"last words");
    // It has said that it sends nothing more; it still reads.
    let mut sealed = Vec::new();
    pair.channel.seal(b"answer", &mut sealed).unwrap();
    pair.channel.close(&mut sealed);
    pair.hear(&sealed).unwrap();
    assert_eq!((&pair.heard[..], pair.heard_end), (&b"answer"[..], true));
    assert!(pair.channel.seal(b"more", &mut sealed).is_err());
}

#[test]
fn what_is_sealed_while_a_message_is_unfinished_disturbs_neither() {
    let (authority, identity) = usual();
    let mut pair = pair_of(&authority, &identity, "hub.example");
    assert_eq!(pair.talk(), Ok(Heard::More));
    // A key update is a handshake message, which rustls keeps track of by its place in what it was given.
    for piece in [1, 3, 20] {
        pair.client.refresh_traffic_keys().unwrap();
        pair.say(b"up");
        let mut records = Vec::new();
        while pair.client.wants_write() {
            pair.client.write_tls(&mut records).unwrap();
        }
        for records in records.chunks_mut(piece) {
            let mut out = Vec::new();
            assert_eq!(pair.channel.receive(records, &mut pair.plain, &mut out), Ok(Heard::More));
            pair.channel.seal(b"down", &mut out).unwrap();
            pair.hear(&out).unwrap();
        }
    }
    assert_eq!(pair.plain, b"upupup");
    assert_eq!(pair.heard, b"down".repeat(pair.heard.len() / 4));
    assert!(pair.heard.len() > 100);
}

#[test]
fn a_client_of_something_else_is_told_so() {
    let (authority, identity) = usual();
    let mut plain = Channel::new(identity.config()).unwrap();
    let mut out = Vec::new();
    assert!(plain.receive(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec(), &mut Vec::new(), &mut out).is_err());
    let mut config = authority.client(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut pair = Pair::new(&Arc::new(config), Channel::new(identity.config()).unwrap(), "hub.example");
    let alert = Err(Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    assert_eq!(pair.talk(), alert, "the alert goes out although the handshake failed");
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new();
    let certificates = vec![
        authority.sign("first", &["first.example"]),
        authority.sign("wild", &["*.wild.example", "wild.example"]),
        authority.sign("exact", &["exact.wild.example"]),
    ];
    let identity = Identity::load(&settings(&certificates)).unwrap();
    let shown = |name: &str| {
        let mut pair = pair_of(&authority, &identity, name);
        pair.talk().map(|_| pair.client.peer_certificates().unwrap()[0].to_vec())
    };
    let der = |index: usize| {
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateDer::from_pem_file(&certificates[index].certificate).unwrap().to_vec()
    };
    for (name, index) in [
        ("first.example", 0),
        ("FIRST.example", 0),
        ("wild.example", 1),
        ("a.wild.example", 1),
        ("exact.wild.example", 2),
    ] {
        assert_eq!(shown(name), Ok(der(index)), "{name}");
    }
    // Shown the first, which is not for these: it is the client that refuses.
    for name in ["other.example", "a.b.wild.example", "192.0.2.1"] {
        assert!(matches!(shown(name), Err(Error::InvalidCertificate(_))), "{name}");
    }
}

#[test]
fn an_endless_handshake_message_is_not_gathered() {
    let (_authority, identity) = usual();
    let mut channel = Channel::new(identity.config()).unwrap();
    // A hello of 60 KB, in records of 1,000 bytes.
    let mut refused_at = None;
    for number in 0..60 {
        let mut record = vec![0x16, 3, 1, 0x03, 0xe8];
        record.resize(5 + 1000, 0);
        if number == 0 {
            record[5..9].copy_from_slice(&[1, 0, 0xea, 0x60]);
        }
        if channel.receive(&mut record, &mut Vec::new(), &mut Vec::new()).is_err() {
            refused_at = Some(number);
            break;
        }
        assert!(channel.partial_bytes() <= 32 * 1024);
    }
    assert_eq!(refused_at, Some(32));
}

#[test]
fn a_client_resumes_with_its_ticket() {
    let (authority, identity) = usual();
    let config = Arc::new(authority.client(None));
    let kinds = [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed];
    for kind in kinds {
        let mut pair = Pair::new(&config, Channel::new(identity.config()).unwrap(), "hub.example");
        assert_eq!(pair.talk(), Ok(Heard::More));
        assert_eq!(pair.client.handshake_kind(), Some(kind));
        assert_eq!(pair.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn where_an_authority_is_asked_for_clients_without_its_certificate_are_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let asking =
        Tls { client_ca: Some(authority.path("ca.pem")), ..settings(&[authority.sign("hub", &["hub.example"])]) };
    let identity = Identity::load(&asking).unwrap();
    let talk = |certificate: Option<&Signed>| {
        let config = Arc::new(authority.client(certificate));
        Pair::new(&config, Channel::new(identity.config()).unwrap(), "hub.example").talk()
    };
    assert_eq!(talk(Some(&authority.sign("client", &["client"]))), Ok(Heard::More));
    assert_eq!(talk(None), Err(Error::AlertReceived(AlertDescription::CertificateRequired)));
    assert!(talk(Some(&stranger.sign("client", &["client"]))).is_err());
}

#[test]
fn new_files_are_used_for_new_handshakes_and_bad_ones_change_nothing() {
    let authority = Authority::new();
    let certificate = authority.sign("hub", &["old.example"]);
    let identity = Identity::load(&settings(std::slice::from_ref(&certificate))).unwrap();
    let works = |name: &str| pair_of(&authority, &identity, name).talk().is_ok();
    assert!(matches!(identity.reload(), Reloaded::Unchanged));
    let mut open = pair_of(&authority, &identity, "old.example");
    assert_eq!(open.talk(), Ok(Heard::More));
    authority.sign("hub", &["new.example"]);
    assert!(works("old.example"), "nobody has looked yet");
    assert!(matches!(identity.reload(), Reloaded::Changed));
    assert!(works("new.example") && !works("old.example"));
    open.say(b"still here");
    assert_eq!((open.talk(), open.plain), (Ok(Heard::More), b"still here".to_vec()));
    // Half of a pair is new: told once, not at every look.
    let key = fs::read(&certificate.key).unwrap();
    authority.sign("hub", &["newest.example"]);
    let newest_key = fs::read(&certificate.key).unwrap();
    fs::write(&certificate.key, &key).unwrap();
    let Reloaded::Failed(error) = identity.reload() else { panic!("not failed") };
    assert!(matches!(error, IdentityError::Mismatch { .. }), "{error}");
    assert!(matches!(identity.reload(), Reloaded::Unchanged));
    assert!(works("new.example"));
    fs::write(&certificate.key, newest_key).unwrap();
    assert!(matches!(identity.reload(), Reloaded::Changed));
    assert!(works("newest.example"));
    fs::remove_file(&certificate.key).unwrap();
    assert!(matches!(identity.reload(), Reloaded::Failed(IdentityError::Unreadable { .. })));
    assert!(works("newest.example"));
}

#[test]
fn files_that_are_of_no_use_are_named_with_what_is_wrong() {
    let authority = Authority::new();
    let good = authority.sign("good", &["hub.example"]);
    let other = authority.sign("other", &["hub.example"]);
    let empty = authority.path("empty.pem");
    fs::write(&empty, "nothing\n").unwrap();
    let complaint = |change: &dyn Fn(&mut Tls)| {
        let mut tls = settings(std::slice::from_ref(&good));
        change(&mut tls);
        Identity::load(&tls).unwrap_err().to_string()
    };
    let said = complaint(&|tls| tls.certificates[0].key = other.key.clone());
    assert!(said.contains("other.key is not the key of ") && said.contains("good.pem"), "{said}");
    let said = complaint(&|tls| tls.certificates[0].certificate = empty.clone());
    assert!(said.contains("empty.pem: no certificate in it"), "{said}");
    let said = complaint(&|tls| tls.certificates[0].key = good.certificate.clone());
    assert!(said.contains("good.pem: "), "{said}");
    let said = complaint(&|tls| tls.client_ca = Some(empty.clone()));
    assert!(said.contains("empty.pem: no certificate in it"), "{said}");
    let said = complaint(&|tls| tls.certificates[0].key = "/nowhere/key.pem".into());
    assert!(said.contains("/nowhere/key.pem: "), "{said}");
}

#[test]
fn the_first_certificate_to_end_is_told() {
    let (_authority, identity) = usual();
    // What rcgen signs ends in the year 4096.
    assert!(identity.expires_unix() > 60_000_000_000, "{}", identity.expires_unix());
}

proptest! {
    /// Whatever comes instead of a handshake is refused or waited on, and costs no more than a little memory.
    #[test]
    fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..500) {
        thread_local!(static IDENTITY: (Authority, Identity) = usual());
        IDENTITY.with(|(_, identity)| {
            let mut channel = Channel::new(identity.config()).unwrap();
            let (mut plain, mut out) = (Vec::new(), Vec::new());
            for bytes in bytes.clone().chunks_mut(piece) {
                if channel.receive(bytes, &mut plain, &mut out).is_err() {
                    break;
                }
            }
            prop_assert!(plain.is_empty() && !channel.is_established());
            prop_assert!(channel.partial_bytes() <= 4096);
            Ok(())
        })?;
    }
}
