//! Issued certificates: an authority checks the hub's names among its clients, and what it issues is shown, kept and renewed.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::process::Signal;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, SupportedProtocolVersion};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::authority::Authority;
use crate::child::Process;
use crate::client::{Http, Socket, WebSocket};
use crate::deadline::{PATIENCE, eventually};
use crate::pebble::Pebble;

const NAMES: [&str; 2] = ["push.example.com", "hub.example.org"];

const YEAR: u32 = 365 * 24 * 3600;

/// A hub that has its certificate from `pebble` at `address`, and plain HTTP at another.
fn config(pebble: &Pebble, cache: &Path) -> String {
    format!(
        "[server]\nworkers = 2\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
        [[listeners]]\naddress = \"127.0.0.1:0\"\n\
        tls = {{ acme = {{ domains = {NAMES:?}, contact = [\"mailto:ops@example.com\"], cache = {cache:?}, directory = {:?}, \
        directory_ca = {:?} }} }}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n",
        pebble.directory(),
        pebble.directory_ca(),
    )
}

/// The certificate that a client is shown, if it takes it and is served.
fn shown(hub: &Process, client: &Arc<ClientConfig>, name: &str) -> Option<CertificateDer<'static>> {
    let mut socket = Socket::connect(hub.address).with_tls(client, name);
    socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    socket.read_to_end().starts_with(b"HTTP/1.1 200").then(|| socket.certificate().unwrap())
}

fn metric(plain: SocketAddr, name: &str) -> u64 {
    let page = Http::connect(plain).get("/metrics").text().to_owned();
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn plain_address(hub: &Process) -> SocketAddr {
    hub.logged("listening", |line| line["address"].as_str()?.parse().ok())
}

fn stop(mut hub: Process) {
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
}

#[test]
fn a_certificate_is_obtained_when_the_authority_is_there_and_is_still_there_after_a_restart() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().join("acme");
    let mut pebble = Pebble::new();
    let hub = Process::start(&config(&pebble, &cache));
    let plain = plain_address(&hub);
    // Nobody answers yet: the hub is up, and tells why it has nothing to show.
    hub.logged("a certificate was not obtained", |line| {
        assert_eq!(line["domains"], NAMES.join(","));
        line["error"].as_str()?.contains("efused").then_some(())
    });
    let mut socket = Socket::connect(hub.address).with_tls(&Arc::new(Authority::new().client(None)), NAMES[0]);
    assert!(socket.try_send(b"GET / HTTP/1.1\r\n\r\n").is_err());
    eventually("it is counted", || metric(plain, "fanfare_handshakes_refused_total{code=\"tls-failed\"}") >= 1);
    assert_eq!(metric(plain, "fanfare_tls_certificate_expiry_timestamp_seconds"), 0);

    pebble.start(hub.address, YEAR);
    hub.logged("a certificate was obtained", |line| (line["days_left"].as_u64()? >= 360).then_some(()));
    let client = pebble.client();
    let first = shown(&hub, &client, NAMES[0]).unwrap();
    assert_eq!(shown(&hub, &client, NAMES[1]).unwrap(), first, "one for both names");
    let certificate = x509_cert::Certificate::from_der(&first).unwrap();
    let certificate = certificate.tbs_certificate();
    let names = certificate.get_extension::<SubjectAltName>().unwrap().unwrap().1.0;
    for name in NAMES {
        assert!(names.iter().any(|one| matches!(one, GeneralName::DnsName(one) if one.as_str() == name)));
    }
    let expires = certificate.validity().not_after.to_unix_duration().as_secs();
    assert_eq!(metric(plain, "fanfare_tls_certificate_expiry_timestamp_seconds"), expires);
    let mut socket = WebSocket::upgrade(Socket::connect(hub.address).with_tls(&client, NAMES[0]), "/topics/news");
    socket.send_text("over it");
    assert_eq!(socket.text(), "over it");
    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for (path, mode) in files.iter().map(|file| (file, 0o600)).chain([(&cache, 0o700)]) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    drop(socket);
    stop(hub);

    // Nobody could issue another.
    pebble.stop();
    let hub = Process::start(&config(&pebble, &cache));
    let plain = plain_address(&hub);
    hub.logged("the certificate of the cache is in use", |_| Some(()));
    assert_eq!(shown(&hub, &client, NAMES[0]).unwrap(), first);
    assert_eq!(metric(plain, "fanfare_tls_certificate_expiry_timestamp_seconds"), expires);
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_and_open_connections_stay() {
    let cache = tempfile::tempdir().unwrap();
    let mut pebble = Pebble::new();
    let hub = Process::start(&config(&pebble, cache.path()));
    pebble.start(hub.address, 6);
    hub.logged("a certificate was obtained", |_| Some(()));
    // On a busy machine a certificate of six seconds may end before it is shown.
    let client = Arc::new(credulous(&rustls::version::TLS13, b"http/1.1"));
    let first = shown(&hub, &client, NAMES[0]).unwrap();
    let mut open = WebSocket::upgrade(Socket::connect(hub.address).with_tls(&client, NAMES[0]), "/topics/news");
    hub.logged("a certificate was renewed", |_| Some(()));
    assert_ne!(shown(&hub, &client, NAMES[0]).unwrap(), first);
    open.send_text("still here");
    assert_eq!(open.text(), "still here");
}

#[test]
fn who_checks_a_name_is_shown_the_proof_and_nothing_else_while_clients_are_served() {
    let cache = tempfile::tempdir().unwrap();
    let mut pebble = Pebble::new();
    let hub = Process::start(&config(&pebble, cache.path()));
    let plain = plain_address(&hub);
    let door = Door::before(hub.address);
    pebble.start(door.address, YEAR);
    // From when it knocks until it is let in, the proof can be seen.
    door.knocked.recv_timeout(PATIENCE).unwrap();
    let mut others = Vec::new();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let checking = Arc::new(credulous(version, b"acme-tls/1"));
        // The worker with fewer connections gets the next one: so each of both is asked.
        for _ in 0..4 {
            let proof = NAMES.iter().find_map(|name| {
                let mut socket = Socket::connect(hub.address).with_tls(&checking, name);
                // It may be closed before this is through.
                let _ = socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assert_eq!(socket.read_to_end(), b"", "the request is not answered");
                socket.certificate()
            });
            assert!(has_proof(&proof.expect("one of the names is being checked")));
            others.push(WebSocket::open(plain, "/topics/news"));
        }
    }
    others[0].send_text("undisturbed");
    for other in &mut others {
        assert_eq!(other.text(), "undisturbed");
    }
    door.open.send(()).unwrap();
    hub.logged("a certificate was obtained", |_| Some(()));
    assert!(shown(&hub, &pebble.client(), NAMES[1]).is_some());
}

/// What stands between an authority and the hub: the first that comes has to wait.
struct Door {
    address: SocketAddr,
    /// Says that somebody has come.
    knocked: mpsc::Receiver<()>,
    /// Lets everybody in.
    open: mpsc::Sender<()>,
}

impl Door {
    fn before(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((knock, knocked), (open, opened)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            for (index, outside) in listener.incoming().map_while(Result::ok).enumerate() {
                if index == 0 && (knock.send(()).is_err() || opened.recv().is_err()) {
                    return;
                }
                let inside = TcpStream::connect(hub).unwrap();
                for (mut from, mut to) in [
                    (outside.try_clone().unwrap(), inside.try_clone().unwrap()),
                    (inside.try_clone().unwrap(), outside.try_clone().unwrap()),
                ] {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, knocked, open }
    }
}

/// A client that looks at certificates as an authority does: whoever they are from.
fn credulous(version: &'static SupportedProtocolVersion, protocol: &[u8]) -> ClientConfig {
    let builder = ClientConfig::builder_with_protocol_versions(&[version]).dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

/// Whether a certificate has the extension acmeIdentifier, critical, with a digest in it (RFC 8737 §3).
fn has_proof(certificate: &CertificateDer<'_>) -> bool {
    let certificate = x509_cert::Certificate::from_der(certificate).unwrap();
    let extensions = certificate.tbs_certificate().extensions().cloned().unwrap_or_default();
    extensions.iter().any(|one| {
        one.extn_id.to_string() == "1.3.6.1.5.5.7.1.31" && one.critical && one.extn_value.as_bytes()[..2] == [4, 32]
    })
}

#[derive(Debug)]
struct Anyone;

mod anyone {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    impl ServerCertVerifier for super::Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}
